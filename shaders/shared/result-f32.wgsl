// The result in memory as f32, whatever the operands are.
alias ResultQuad = vec4f;
fn load_result(quad: ResultQuad) -> vec4f { return quad; }
fn store_result(value: vec4f) -> ResultQuad { return value; }
