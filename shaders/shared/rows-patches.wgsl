// The left operand of the patch embedding, gathered from the pixels: row t of a frame is its patch t - CLASS_TOKENS, row-major over
// the frame; k runs over (channel, y, x) within the patch, as in a convolution's weight. Here P is a multiple of four, so that four
// neighbours in k are four neighbours in memory.
@group(0) @binding(0) var<storage, read> frames: array<vec4f>;          // [F, 3, S, S]

const PATCH_QUADS = PATCH / 4;
const ROW_QUADS = PITCH / 4;

/// Without a branch, like all that a matmul's inner loops call: branches in unrolled loops, `&&` among them, take
/// SwiftShader minutes to compile.
fn input_quad(row: u32, quad: u32) -> vec4f {
  let known = min(row, params.rows - 1);
  let token = known % TOKENS;
  let cell = max(token, CLASS_TOKENS) - CLASS_TOKENS;
  let q = min(quad, K_QUADS - 1);
  let line = (known / TOKENS * 3 + q / (PATCH * PATCH_QUADS)) * SIZE + cell / GRID * PATCH + q / PATCH_QUADS % PATCH;
  let pixels = frames[line * ROW_QUADS + cell % GRID * PATCH_QUADS + q % PATCH_QUADS];
  return select(vec4f(0), pixels, (quad < K_QUADS) & (token >= CLASS_TOKENS));
}
