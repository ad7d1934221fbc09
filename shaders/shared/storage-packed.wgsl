// Tensors in memory as f16 on devices without shader-f16: a quad is four halves in two u32.
alias Quad = vec2u;
fn load_quad(quad: Quad) -> vec4f { return vec4f(unpack2x16float(quad.x), unpack2x16float(quad.y)); }
fn store_quad(value: vec4f) -> Quad { return vec2u(pack2x16float(value.xy), pack2x16float(value.zw)); }
