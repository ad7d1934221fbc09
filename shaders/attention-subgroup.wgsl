// output[b, i, h] = sum over j of softmax over j (SCALE q[b, i, h] . k[b, j, h]) v[b, j, h]
//
// One subgroup = ROWS queries of one head of one sequence, whose scores it keeps: the softmax is exact, in two passes. In the
// products lanes are keys and hand round the queries, of which each lane holds other quads; in the sums lanes are quads of the head
// and hand round the scores. Many rows to a load are what counts where a load costs dozens of multiply-adds (all software adapters).
// Registers bound it to 512 tokens; 18-20 GFLOP/s on llvmpipe, where attention-tile has 1.8.
// Needs subgroups of exactly LANES lanes, which divide the quads of a head.
// #import storage

@group(0) @binding(0) var<storage, read> qkv: array<Quad>;              // [B, T, 3, H, D]
@group(0) @binding(1) var<storage, read_write> output: array<Quad>;     // [B, T, H, D]

const ROW = HEADS * HEAD_QUADS;                                         // quads of one token in output; qkv has three times as many
const BLOCK = LANES * KEYS;                                             // keys whose products are computed together
const SHARES = (TOKENS + BLOCK - 1) / BLOCK * KEYS;                     // scores of one row that a lane keeps: of every LANES-th key

@compute @workgroup_size(LANES)
// #import subgroup
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_size) lanes: u32,
) {
  let first_query = workgroup.x * ROWS;
  let head = workgroup.y * HEAD_QUADS;
  let sequence = workgroup.z * TOKENS;
// #import row-count

  var queries: array<vec4f, ROWS * QUADS>;                              // of each row every LANES-th quad
  // #unroll
  for (var r = 0u; r < ROW_COUNT; r++) {
    let token = sequence + min(first_query + r, TOKENS - 1);
    for (var i = 0u; i < QUADS; i++) {
      queries[r * QUADS + i] = load_quad(qkv[token * 3 * ROW + head + i * LANES + lane]) * SCALE;
    }
  }

  var scores: array<f32, ROWS * SHARES>;
  for (var first = 0u; first < TOKENS; first += BLOCK) {
    // written out, because Tint sets a variable without initialiser to zero once and not in every turn of a loop
    var products = array<f32, ROWS * KEYS>();
    for (var turn = 0u; turn < lanes; turn++) {
      // #unroll
      for (var i = 0u; i < QUADS; i++) {
        var keys: array<vec4f, KEYS>;
        // #unroll
        for (var c = 0u; c < KEYS; c++) {
          let token = sequence + min(first + c * LANES + lane, TOKENS - 1);
          keys[c] = load_quad(qkv[token * 3 * ROW + ROW + head + i * LANES + turn]);
        }
        // #unroll
        for (var r = 0u; r < ROWS; r++) {
          let query = subgroupShuffle(queries[r * QUADS + i], turn);
          // #unroll
          for (var c = 0u; c < KEYS; c++) {
            var product = products[r * KEYS + c];
            product = fma(query.x, keys[c].x, product);
            product = fma(query.y, keys[c].y, product);
            product = fma(query.z, keys[c].z, product);
            product = fma(query.w, keys[c].w, product);
            products[r * KEYS + c] = product;
          }
        }
      }
    }
    for (var r = 0u; r < ROW_COUNT; r++) {
      for (var c = 0u; c < KEYS; c++) {
        let present = first + c * LANES + lane < TOKENS;
        scores[r * SHARES + first / LANES + c] = select(-1e30, products[r * KEYS + c], present);
      }
    }
  }

  var scales: array<f32, ROWS>;                                         // 1 / sum over a row
  for (var r = 0u; r < ROW_COUNT; r++) {
    var peak = -1e30;
    for (var s = r * SHARES; s < (r + 1) * SHARES; s++) { peak = max(peak, scores[s]); }
    peak = subgroupMax(peak);
    var total = 0.0;
    for (var s = r * SHARES; s < (r + 1) * SHARES; s++) {
      scores[s] = exp(scores[s] - peak);
      total += scores[s];
    }
    scales[r] = 1 / subgroupAdd(total);
  }

  var sums: array<vec4f, ROWS * QUADS>;
  for (var first = 0u; first < TOKENS; first += LANES) {
    var shares: array<f32, ROWS>;
    // #unroll
    for (var r = 0u; r < ROWS; r++) { shares[r] = scores[r * SHARES + first / LANES]; }
    for (var turn = 0u; turn < lanes; turn++) {
      let token = sequence + min(first + turn, TOKENS - 1);
      var values: array<vec4f, QUADS>;
      // #unroll
      for (var i = 0u; i < QUADS; i++) { values[i] = load_quad(qkv[token * 3 * ROW + 2 * ROW + head + i * LANES + lane]); }
      // #unroll
      for (var r = 0u; r < ROWS; r++) {
        let share = vec4f(subgroupShuffle(shares[r], turn));
        // #unroll
        for (var i = 0u; i < QUADS; i++) { sums[r * QUADS + i] = fma(share, values[i], sums[r * QUADS + i]); }
      }
    }
  }
  for (var r = 0u; r < min(u32(ROW_COUNT), TOKENS - first_query); r++) {
    for (var i = 0u; i < QUADS; i++) {
      let quad = (sequence + first_query + r) * ROW + head + i * LANES + lane;
      output[quad] = store_quad(sums[r * QUADS + i] * scales[r]);
    }
  }
}
