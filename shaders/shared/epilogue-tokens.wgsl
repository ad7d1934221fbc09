// What becomes of a finished sum of the patch embedding: bias and position are added; the class token, which stands before each
// frame's patches, has no patch and takes the place of its sum.
// #import bias
@group(0) @binding(4) var<storage, read> positions: array<vec4f>;       // [T, C]
@group(0) @binding(5) var<storage, read> class_token: array<vec4f>;     // [C]

/// row counts tokens of all frames, column counts quads of C
fn finished(row: u32, column: u32, sum: vec4f, bias: vec4f, residual: vec4f) -> vec4f {
  let token = row % TOKENS;
  return select(sum + bias, class_token[column], token == 0) + positions[token * N_QUADS + column];
}
