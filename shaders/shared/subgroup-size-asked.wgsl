// The device has subgroups of several sizes; this kernel counts on one of them.
@subgroup_size(LANES)
