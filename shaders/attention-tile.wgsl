// output[b, i, h] = sum over j of softmax over j (SCALE q[b, i, h] . k[b, j, h]) v[b, j, h]
//
// One workgroup = QUERIES queries of one head of one sequence, against all keys in blocks of 32. Its 64 invocations are 8 lines of 8.
// A line has LANE_QUERIES queries. For scores each of its lanes has four keys of the block, and queries and keys pass through
// workgroup memory 16 channels at a time; for the output each has LANE_UNITS * UNIT quads of channels, and the line hands its scores
// round in workgroup memory. The softmax is exact and online (Milakov and Gimelshein, arXiv 1805.02867): a line keeps the maximum so
// far and rescales what it has summed when a block raises it, as FlashAttention-2 does (arXiv 2307.08691). It is for devices without
// subgroup matrices, and takes any number of tokens. Mesa's compiler for RDNA2: 128 registers, 8 waves. Needs no feature and less than 8 KiB of workgroup memory, so that GPUs have the registers' worth of workgroups at once.
// #import storage
// #import unit

/// Bounds of loops that no compiler shall write out; constants otherwise.
struct Params {
  tokens: u32,                                                          // T
  head_units: u32,                                                      // D in units
}
@group(0) @binding(0) var<storage, read> qkv: array<Unit>;              // [B, T, 3, H, D]
@group(0) @binding(1) var<storage, read_write> output: array<Quad>;     // [B, T, H, D]
@group(0) @binding(2) var<uniform> params: Params;

const HEAD_UNITS = HEAD_QUADS / UNIT;
const ROW = HEADS * HEAD_UNITS;                                         // units of one token in output; qkv has three times as many
const QUERIES = 8 * LANE_QUERIES;
const KEYS = 32u;                                                       // of a block
const DEPTH = 4u;                                                       // quads of channels in workgroup memory at a time
const STAGED = DEPTH / UNIT;                                            // units of one row of that
const whole_chunks = HEAD_UNITS % STAGED == 0;                          // channels need no test then

var<workgroup> shares: array<array<array<vec4f, 8>, LANE_QUERIES>, 8>;  // [quad of keys][query][line]; before: [quad][query][line]
var<workgroup> keys: array<array<array<vec4f, 8>, 4>, 4>;               // [quad][key of a lane][lane]; after: peaks of lanes

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let line = index / 8;
  let lane = index % 8;
  let first_query = workgroup.x * QUERIES;
  let sequence = workgroup.z * TOKENS;
  let head = workgroup.y * HEAD_UNITS;

  var sums: array<vec4f, LANE_QUERIES * LANE_QUADS>;                    // [query][quad]
  var peaks: array<f32, LANE_QUERIES>;                                  // largest score so far, of the line
  var totals: array<f32, LANE_QUERIES>;                                 // sum of exp(score - peak), of this lane's keys
  // #unroll
  for (var t = 0u; t < LANE_QUERIES; t++) { peaks[t] = -1e30; }

  for (var first = 0u; first < params.tokens; first += KEYS) {
    // with an initial value, for without one it keeps that of the block before (Dawn 0.6.2, against WGSL's rules)
    var scores = array<vec4f, LANE_QUERIES>();                          // [query][key]
    var sources: array<u32, KEY_LOADS>;                                 // the keys that this invocation stages
    // #unroll
    for (var i = 0u; i < KEY_LOADS; i++) {
      sources[i] = (sequence + min(first + (i * 64 + index) / STAGED, TOKENS - 1)) * 3 * ROW + ROW + head;
    }
    for (var depth = 0u; depth < params.head_units; depth += STAGED) {
      workgroupBarrier();                                               // what was staged before is no longer read
      for (var slot = index; slot < QUERIES * STAGED; slot += 64) {
        let row = slot / STAGED;
        let at = depth + slot % STAGED;
        let source = (sequence + min(first_query + row, TOKENS - 1)) * 3 * ROW + head;
        let unit = load_unit(qkv[source + select(min(at, HEAD_UNITS - 1), at, whole_chunks)]);
        // #unroll
        for (var u = 0u; u < UNIT; u++) {
          shares[slot % STAGED * UNIT + u][row / 8][row % 8] = select(vec4f(0), unit[u] * SCALE, (at < HEAD_UNITS) | whole_chunks);
        }
      }
      // #unroll
      for (var i = 0u; i < KEY_LOADS; i++) {
        let row = (i * 64 + index) / STAGED;
        let at = depth + index % STAGED;
        let unit = load_unit(qkv[sources[i] + select(min(at, HEAD_UNITS - 1), at, whole_chunks)]);
        // #unroll
        for (var u = 0u; u < UNIT; u++) {
          keys[index % STAGED * UNIT + u][row % 4][row / 4] = select(vec4f(0), unit[u], (at < HEAD_UNITS) | whole_chunks);
        }
      }
      workgroupBarrier();
      // #unroll
      for (var c = 0u; c < 4; c++) {
        let block = transpose(mat4x4f(keys[c][0][lane], keys[c][1][lane], keys[c][2][lane], keys[c][3][lane]));
        // #unroll
        for (var t = 0u; t < LANE_QUERIES; t++) {
          let query = shares[c][t][line];
          // #unroll
          for (var i = 0u; i < 4; i++) { scores[t] = fma(vec4f(query[i]), block[i], scores[t]); }
        }
      }
    }

    workgroupBarrier();                                                 // keys are no longer read
    let known = vec4u(first + lane * 4) + vec4u(0, 1, 2, 3) < vec4u(TOKENS);
    var highest: array<vec4f, 2>;                                       // of this lane's keys, eight queries
    // #unroll
    for (var t = 0u; t < LANE_QUERIES; t++) {
      scores[t] = select(vec4f(-1e30), scores[t], known);
      let pair = max(scores[t].xy, scores[t].zw);
      highest[t / 4][t % 4] = max(pair.x, pair.y);
    }
    keys[line / 4][line % 4][lane] = highest[0];
    keys[2 + line / 4][line % 4][lane] = highest[1];
    workgroupBarrier();
    // #unroll
    for (var other = 0u; other < 8; other++) {
      highest[0] = max(highest[0], keys[line / 4][line % 4][other]);
      highest[1] = max(highest[1], keys[2 + line / 4][line % 4][other]);
    }
    // #unroll
    for (var t = 0u; t < LANE_QUERIES; t++) {
      let peak = max(peaks[t], highest[t / 4][t % 4]);
      let shrink = exp(peaks[t] - peak);
      peaks[t] = peak;
      let share = exp(scores[t] - peak);
      totals[t] = totals[t] * shrink + dot(share, vec4f(1));
      shares[lane][t][line] = share;
      // #unroll
      for (var c = 0u; c < LANE_QUADS; c++) { sums[t * LANE_QUADS + c] *= shrink; }
    }
    workgroupBarrier();

    let quads = (min(KEYS, TOKENS - first) + 3) / 4;                    // of keys; the shares of those past T are zero
    for (var j = 0u; j < quads; j++) {
      var block: array<vec4f, 4 * LANE_QUADS>;                          // [key][quad]
      // #unroll
      for (var i = 0u; i < 4; i++) {
        let source = (sequence + min(first + j * 4 + i, TOKENS - 1)) * 3 * ROW + 2 * ROW + head;
        // #unroll
        for (var l = 0u; l < LANE_UNITS; l++) {
          let unit = load_unit(qkv[source + min(l * 8 + lane, HEAD_UNITS - 1)]);
          // #unroll
          for (var u = 0u; u < UNIT; u++) { block[i * LANE_QUADS + l * UNIT + u] = unit[u]; }
        }
      }
      // #unroll
      for (var t = 0u; t < LANE_QUERIES; t++) {
        let share = shares[j][t][line];
        // #unroll
        for (var i = 0u; i < 4; i++) {
          // #unroll
          for (var c = 0u; c < LANE_QUADS; c++) {
            sums[t * LANE_QUADS + c] = fma(vec4f(share[i]), block[i * LANE_QUADS + c], sums[t * LANE_QUADS + c]);
          }
        }
      }
    }
  }

  var whole: array<vec4f, 2>;                                           // totals of this lane, eight queries; then of the line
  // #unroll
  for (var t = 0u; t < LANE_QUERIES; t++) { whole[t / 4][t % 4] = totals[t]; }
  keys[line / 4][line % 4][lane] = whole[0];
  keys[2 + line / 4][line % 4][lane] = whole[1];
  workgroupBarrier();
  whole = array<vec4f, 2>();
  // #unroll
  for (var other = 0u; other < 8; other++) {
    whole[0] += keys[line / 4][line % 4][other];
    whole[1] += keys[2 + line / 4][line % 4][other];
  }
  // #unroll
  for (var t = 0u; t < LANE_QUERIES; t++) {
    let query = first_query + t * 8 + line;
    // #unroll
    for (var l = 0u; l < LANE_UNITS; l++) {
      let unit = l * 8 + lane;
      if (query < TOKENS && unit < HEAD_UNITS) {
        // #unroll
        for (var u = 0u; u < UNIT; u++) {
          output[((sequence + query) * ROW + head + unit) * UNIT + u] =
            store_quad(sums[t * LANE_QUADS + l * UNIT + u] / whole[t / 4][t % 4]);
        }
      }
    }
  }
}
