// Tensors in memory as f32, four elements at a time.
alias Quad = vec4f;
fn load_quad(quad: Quad) -> vec4f { return quad; }
fn store_quad(value: vec4f) -> Quad { return value; }
