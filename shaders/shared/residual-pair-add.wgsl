// The residual stream lies where the result goes: read, then overwritten by the same invocation.
fn residual_pair(index: u32) -> array<vec4f, 2> { return quads_of(output[index]); }
