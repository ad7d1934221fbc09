alias ResidualPair = u32;
fn residual_pair(row: u32, pair: u32) -> ResidualPair { return 0; }
fn residual_quads(residual: ResidualPair) -> array<vec4f, 2> { return array(vec4f(0), vec4f(0)); }
