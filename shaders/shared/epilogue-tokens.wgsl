// What becomes of a finished sum of the patch embedding: bias and position are added; the class token, which stands before each
// frame's patches, has no patch and takes the place of its sum.
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;            // [C]
@group(0) @binding(4) var<storage, read> positions: array<vec4f>;       // [T, C]
@group(0) @binding(5) var<storage, read> class_token: array<vec4f>;     // [C]

/// row counts tokens of all frames, column counts quads of C
fn finish(row: u32, column: u32, sum: vec4f) {
  let token = row % TOKENS;
  let embedded = select(sum + bias[column], class_token[column], token == 0);
  output[row * N_QUADS + column] = store_result(embedded + positions[token * N_QUADS + column]);
}
