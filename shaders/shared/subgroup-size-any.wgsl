// No subgroup size is asked for: there is only one, or none that matters.
