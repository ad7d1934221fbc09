// The result in memory as the operands are.
alias ResultQuad = Quad;
fn load_result(quad: ResultQuad) -> vec4f { return load_quad(quad); }
fn store_result(value: vec4f) -> ResultQuad { return store_quad(value); }
