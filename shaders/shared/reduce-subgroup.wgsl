// Sums over a workgroup that is one subgroup.
fn workgroup_sum(term: f32, lane: u32) -> f32 { return subgroupAdd(term); }
