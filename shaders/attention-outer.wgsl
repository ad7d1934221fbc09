// output[b, i, h] = sum over j of softmax over j (SCALE q[b, i, h] . k[b, j, h]) v[b, j, h]
//
// attention-tile for GPUs whose lanes have few registers. One workgroup = QUERIES queries of one head of one sequence, against all keys in
// blocks of 32. Its 64 invocations are LINES lines of LINE_LANES. A line has a pair of queries. For scores each of its lanes has LANE_PAIRS
// pairs of the block's keys, and queries and keys pass through workgroup memory 16 channels at a time, transposed on their way, so that
// a channel is an outer product; for the output each lane has LANE_QUADS quads of channels, and the line hands its scores round in
// workgroup memory, so that a key is an outer product again. The softmax is exact and online (Milakov and Gimelshein, arXiv 1805.02867).
// Mesa's compiler for Intel's Xe: no spill at SIMD16; for Apple's M1: 832 threads. Needs less than 8 KiB of workgroup memory.
// #import storage

/// Bounds of loops that no compiler shall write out, for Mesa gives every turn of a sum a register of its own on Intel's GPUs.
struct Params {
  tokens: u32,                                                          // T
  head_quads: u32,                                                      // D in quads
  staged_pairs: u32,                                                    // pairs of channels in workgroup memory at a time
}
@group(0) @binding(0) var<storage, read> qkv: array<Quad>;              // [B, T, 3, H, D]
@group(0) @binding(1) var<storage, read_write> output: array<Quad>;     // [B, T, H, D]
@group(0) @binding(2) var<uniform> params: Params;

const ROW = HEADS * HEAD_QUADS;                                         // quads of one token in output; qkv has three times as many
const LINES = 64 / LINE_LANES;
const QUERIES = 2 * LINES;
const KEYS = 32u;                                                       // of a block
const KEY_PAIRS = KEYS / 2;
const STAGED = 4u;                                                      // quads of a row in workgroup memory at a time
const whole_chunks = HEAD_QUADS % STAGED == 0;                          // channels need no test then
const whole_lines = HEAD_QUADS == LANE_QUADS * LINE_LANES;

// pairs of keys, then of queries, at pairs of channels: both rows at the first channel, both at the second
var<workgroup> rows: array<array<vec4f, KEY_PAIRS + LINES>, 8>;         // [pair of channels][pair of rows]
var<workgroup> shares: array<array<vec2f, LINES>, KEYS>;                // [key][line]
var<workgroup> lanes: array<array<vec2f, LINE_LANES>, LINES>;           // peaks of lanes, and in the end their totals

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let line = index / LINE_LANES;
  let lane = index & (LINE_LANES - 1);
  let first_query = workgroup.x * QUERIES;
  let sequence = workgroup.z * TOKENS;
  let head = workgroup.y * HEAD_QUADS;

  var sums: array<vec4f, SUMS>;                                         // [query][quad]
  var peak = vec2f(-1e30);                                              // largest score so far, of the line
  var total = vec2f(0);                                                 // sum of exp(score - peak), of this lane's keys
  for (var first = 0u; first < params.tokens; first += KEYS) {
    // with an initial value, for without one it keeps that of the block before (Dawn 0.6.2, against WGSL's rules)
    var scores = array<vec2f, 2 * LANE_PAIRS>();                        // [query][pair of keys]
    for (var depth = 0u; depth < params.head_quads; depth += STAGED) {
      workgroupBarrier();                                               // what was staged before is no longer read
      for (var slot = index; slot < (KEY_PAIRS + LINES) * STAGED; slot += 64) {
        let pair = slot / STAGED;
        let at = depth + slot % STAGED;
        // the column of q or of k in a row of qkv, and the pair's first token; past the last token the last one is read again
        let is_key = pair < KEY_PAIRS;
        let column = select(0u, ROW, is_key) + head + select(min(at, HEAD_QUADS - 1), at, whole_chunks);
        let token = select(first_query + (pair - KEY_PAIRS) * 2, first + pair * 2, is_key);
        let upper = load_quad(qkv[(sequence + min(token, TOKENS - 1)) * 3 * ROW + column]);
        let lower = load_quad(qkv[(sequence + min(token + 1, TOKENS - 1)) * 3 * ROW + column]);
        // #unroll
        for (var i = 0u; i < 2; i++) {
          let block = vec4f(upper[i * 2], lower[i * 2], upper[i * 2 + 1], lower[i * 2 + 1]);
          rows[slot % STAGED * 2 + i][pair] = select(vec4f(0), block, (at < HEAD_QUADS) | whole_chunks);
        }
      }
      workgroupBarrier();
      for (var c = 0u; c < params.staged_pairs; c++) {
        let query = rows[c][KEY_PAIRS + line];
        // #unroll
        for (var p = 0u; p < LANE_PAIRS; p++) {
          let key = rows[c][p * LINE_LANES + lane];
          scores[p] = fma(query.zz, key.zw, fma(query.xx, key.xy, scores[p]));
          scores[LANE_PAIRS + p] = fma(query.ww, key.zw, fma(query.yy, key.xy, scores[LANE_PAIRS + p]));
        }
      }
    }

    var highest = vec2f(-1e30);
    // #unroll
    for (var p = 0u; p < LANE_PAIRS; p++) {
      let known = vec2u(first + (p * LINE_LANES + lane) * 2) + vec2u(0, 1) < vec2u(TOKENS);
      scores[p] = select(vec2f(-1e30), scores[p] * SCALE, known);
      scores[LANE_PAIRS + p] = select(vec2f(-1e30), scores[LANE_PAIRS + p] * SCALE, known);
      highest.x = max(highest.x, max(scores[p].x, scores[p].y));
      highest.y = max(highest.y, max(scores[LANE_PAIRS + p].x, scores[LANE_PAIRS + p].y));
    }
    lanes[line][lane] = highest;
    workgroupBarrier();
    let before = peak;
    // #unroll
    for (var other = 0u; other < LINE_LANES; other++) { peak = max(peak, lanes[line][other]); }
    let shrink = exp(before - peak);
    total *= shrink;
    // #unroll
    for (var p = 0u; p < LANE_PAIRS; p++) {
      let upper = exp(scores[p] - peak.x);
      let lower = exp(scores[LANE_PAIRS + p] - peak.y);
      total += vec2f(upper.x + upper.y, lower.x + lower.y);
      // #unroll
      for (var i = 0u; i < 2; i++) { shares[(p * LINE_LANES + lane) * 2 + i][line] = vec2f(upper[i], lower[i]); }
    }
    // #unroll
    for (var c = 0u; c < LANE_QUADS; c++) {
      sums[c] *= shrink.x;
      sums[LANE_QUADS + c] *= shrink.y;
    }
    workgroupBarrier();

    let count = min(KEYS, params.tokens - first);
    for (var j = 0u; j < count; j++) {
      let share = shares[j][line];
      let source = ((sequence + first + j) * 3 + 2) * ROW + head;
      // #unroll
      for (var l = 0u; l < LANE_QUADS; l++) {
        let at = l * LINE_LANES + lane;
        let value = load_quad(qkv[source + select(min(at, HEAD_QUADS - 1), at, whole_lines)]);
        sums[l] = fma(vec4f(share.x), value, sums[l]);
        sums[LANE_QUADS + l] = fma(vec4f(share.y), value, sums[LANE_QUADS + l]);
      }
    }
  }

  lanes[line][lane] = total;
  workgroupBarrier();
  total = vec2f(0);
  // #unroll
  for (var other = 0u; other < LINE_LANES; other++) { total += lanes[line][other]; }
  // #unroll
  for (var t = 0u; t < 2; t++) {
    let query = first_query + line * 2 + t;
    // #unroll
    for (var l = 0u; l < LANE_QUADS; l++) {
      let at = l * LINE_LANES + lane;
      if (query < TOKENS && at < HEAD_QUADS) {
        output[(sequence + query) * ROW + head + at] = store_quad(sums[t * LANE_QUADS + l] / total[t]);
      }
    }
  }
}
