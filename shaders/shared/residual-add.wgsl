// The residual stream lies where the result goes: read, then overwritten by the same lane.
fn residual_at(index: u32) -> vec4f { return load_result(output[index]); }
