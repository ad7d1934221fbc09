// The end of a matmul of a part of K: sums in f32 without an epilogue.
@group(0) @binding(7) var<storage, read_write> partial: array<vec4u>;   // [SPLITS, M padded, N padded]
