// The left operand of a matmul that is a pointwise convolution of some pixels of a tensor: from frame FIRST_FRAME on, of each frame
// every STRIDE-th line and of each line every STRIDE-th pixel.
@group(0) @binding(0) var<storage, read> input: array<Quad>;            // [V, T, H, W, K]

/// Where the pixel of a row begins, for input_at: loops over k keep it. The last row past M.
fn input_row(row: u32) -> u32 {
  let known = min(row, params.rows - 1);
  let line = known / OUT_WIDTH;
  let source = (FIRST_FRAME + line / OUT_HEIGHT) * HEIGHT + line % OUT_HEIGHT * STRIDE;
  return (source * WIDTH + known % OUT_WIDTH * STRIDE) * K_QUADS;
}

/// Four neighbours in k of the pixel that begins at `start`; zeros past K.
fn input_at(start: u32, quad: u32) -> vec4f {
  let value = load_quad(input[start + select(min(quad, K_QUADS - 1), quad, K_QUADS * 4 == K)]);
  return select(vec4f(0), value, (quad < K_QUADS) | (K_QUADS * 4 == K));
}

fn input_quad(row: u32, quad: u32) -> vec4f { return input_at(input_row(row), quad); }
