fn residual_pair(index: u32) -> array<vec4f, 2> { return array(vec4f(0), vec4f(0)); }
