// Tensors in memory as f16, four elements at a time; arithmetic is f32.
alias Quad = vec4<f16>;
fn load_quad(quad: Quad) -> vec4f { return vec4f(quad); }
fn store_quad(value: vec4f) -> Quad { return vec4<f16>(value); }
