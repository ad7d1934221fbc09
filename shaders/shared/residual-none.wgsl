fn residual_at(index: u32) -> vec4f { return vec4f(0); }
