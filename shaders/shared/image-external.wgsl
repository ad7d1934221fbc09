@group(0) @binding(0) var image: texture_external;                      // [H, W]

fn load_texel(at: vec2u) -> vec3f { return textureLoad(image, at).rgb; }
