// The left operand of the patch embedding, gathered from the pixels: row t of a frame is its patch t - CLASS_TOKENS, row-major over
// the frame; k runs over (channel, y, x) within the patch, as in a convolution's weight. Here P is a multiple of four, so that four
// neighbours in k are four neighbours in memory. The row of a class token holds some patch, which the epilogue replaces.
// Nothing branches, as in all that a matmul's inner loops call: branches in unrolled loops, `&&` among them, take SwiftShader
// minutes to compile.
@group(0) @binding(0) var<storage, read> frames: array<vec4f>;          // [F, 3, S, S]

const PATCH_QUADS = PATCH / 4;
const ROW_QUADS = PITCH / 4;

/// The first quad of a row's patch, for input_at: loops over k keep it. The last row past M.
fn input_row(row: u32) -> u32 {
  let known = min(row, params.rows - 1);
  let cell = max(known % TOKENS, CLASS_TOKENS) - CLASS_TOKENS;
  return (known / TOKENS * 3 * SIZE + cell / GRID * PATCH) * ROW_QUADS + cell % GRID * PATCH_QUADS;
}

/// Four neighbours in k of the row whose patch begins at `start`; zeros past K.
fn input_at(start: u32, quad: u32) -> vec4f {
  let q = select(min(quad, K_QUADS - 1), quad, K_QUADS * 4 == K);
  let line = q / (PATCH * PATCH_QUADS) * SIZE + q / PATCH_QUADS % PATCH;
  let pixels = frames[start + line * ROW_QUADS + q % PATCH_QUADS];
  return select(vec4f(0), pixels, (quad < K_QUADS) | (K_QUADS * 4 == K));
}

fn input_quad(row: u32, quad: u32) -> vec4f { return input_at(input_row(row), quad); }
