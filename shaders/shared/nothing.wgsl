// Nothing needs to be said here for this variant.
