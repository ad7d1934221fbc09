// output[b, i, h] = sum over j of softmax over j (SCALE q[b, i, h] . k[b, j, h]) v[b, j, h]
//
// One workgroup = 64 queries of one head of one sequence, an invocation each; keys and values pass through workgroup memory in blocks.
// The softmax is exact: each invocation keeps the maximum so far and rescales what it has summed when a block raises it. No score
// ever leaves its registers. Needs no feature; 16 KiB of workgroup memory at most.
// #import storage

@group(0) @binding(0) var<storage, read> qkv: array<Quad>;              // [B, T, 3, H, D]
@group(0) @binding(1) var<storage, read_write> output: array<Quad>;     // [B, T, H, D]

const ROW = HEADS * HEAD_QUADS;                                         // quads of one token in output; qkv has three times as many

var<workgroup> keys: array<vec4f, BLOCK * HEAD_QUADS>;
var<workgroup> values: array<vec4f, BLOCK * HEAD_QUADS>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let token = workgroup.x * 64 + lane;
  let head = workgroup.y * HEAD_QUADS;
  let sequence = workgroup.z * TOKENS;
  let own_row = (sequence + min(token, TOKENS - 1)) * 3 * ROW + head;

  var query: array<vec4f, HEAD_QUADS>;
  var sum: array<vec4f, HEAD_QUADS>;
  for (var c = 0u; c < HEAD_QUADS; c++) { query[c] = load_quad(qkv[own_row + c]) * SCALE; }
  var peak = -1e30;                                                     // largest score so far
  var total = 0.0;                                                      // sum of exp(score - peak)

  for (var first = 0u; first < TOKENS; first += BLOCK) {
    workgroupBarrier();                                                 // the block before is no longer read
    for (var i = lane; i < BLOCK * HEAD_QUADS; i += 64) {
      let row = (sequence + min(first + i / HEAD_QUADS, TOKENS - 1)) * 3 * ROW + head + i % HEAD_QUADS;
      keys[i] = load_quad(qkv[row + ROW]);
      values[i] = load_quad(qkv[row + 2 * ROW]);
    }
    workgroupBarrier();

    var scores: array<f32, BLOCK>;
    var block_peak = peak;
    for (var j = 0u; j < BLOCK; j++) {
      var products = vec4f(0);
      for (var c = 0u; c < HEAD_QUADS; c++) { products = fma(query[c], keys[j * HEAD_QUADS + c], products); }
      scores[j] = select(-1e30, dot(products, vec4f(1)), first + j < TOKENS);
      block_peak = max(block_peak, scores[j]);
    }
    let shrink = exp(peak - block_peak);
    total *= shrink;
    for (var c = 0u; c < HEAD_QUADS; c++) { sum[c] *= shrink; }
    peak = block_peak;
    for (var j = 0u; j < BLOCK; j++) {
      let share = exp(scores[j] - peak);
      total += share;
      for (var c = 0u; c < HEAD_QUADS; c++) { sum[c] = fma(vec4f(share), values[j * HEAD_QUADS + c], sum[c]); }
    }
  }

  if (token < TOKENS) {
    for (var c = 0u; c < HEAD_QUADS; c++) { output[(sequence + token) * ROW + head + c] = store_quad(sum[c] / total); }
  }
}
