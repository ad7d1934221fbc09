@group(0) @binding(3) var<storage, read> bias: array<vec4f>;            // [N]

fn bias_at(column: u32) -> vec4f { return bias[column]; }
