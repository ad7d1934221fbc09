/// Swish(x) = x sigmoid(x). Below -80 it is as good as zero, and exp stays finite.
fn swish(x: vec4f) -> vec4f { return x / (1 + exp(-max(x, vec4f(-80)))); }
