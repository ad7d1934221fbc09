// The left operand of a matmul behind squeeze and excitation: Swish(input * gate), the gate being that of the row's video.
// #import swish
@group(0) @binding(0) var<storage, read> input: array<Quad>;            // [V, ..., K], GATE_QUADS for each video
@group(0) @binding(4) var<storage, read> gate: array<vec4f>;            // [V, K]

/// Where a row begins, for input_at: loops over k keep it. The last row past M.
fn input_row(row: u32) -> u32 { return min(row, params.rows - 1) * K_QUADS; }

/// Four neighbours in k of the row that begins at `start`; zeros past K.
fn input_at(start: u32, quad: u32) -> vec4f {
  let known = select(min(quad, K_QUADS - 1), quad, K_QUADS * 4 == K);
  let video = select(start / GATE_QUADS, 0, ONE_VIDEO == 1);            // one has one gate, whatever the row
  let value = swish(load_quad(input[start + known]) * gate[video * K_QUADS + known]);
  return select(vec4f(0), value, (quad < K_QUADS) | (K_QUADS * 4 == K));
}

fn input_quad(row: u32, quad: u32) -> vec4f { return input_at(input_row(row), quad); }
