// #import swish
fn activation(x: vec4f) -> vec4f { return swish(x); }
