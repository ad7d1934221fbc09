@group(0) @binding(0) var image: texture_2d<f32>;                       // [H, W]

fn load_texel(at: vec2u) -> vec3f { return textureLoad(image, at, 0).rgb; }
