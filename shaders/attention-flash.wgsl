// output[b, i, h] = sum over j of softmax over j (SCALE q[b, i, h] . k[b, j, h]) v[b, j, h]
//
// FlashAttention-2 (Dao, arXiv 2307.08691) on subgroup matrices: keys and values pass by in blocks of KEYS, and each row of scores keeps
// its maximum m and its sum l so far (the online softmax of Milakov and Gimelshein, arXiv 1805.02867), so that memory does not grow with
// T. A workgroup has the queries of SUBGROUPS subgroups, each of which owns ROWS whole rows (here: 16 rows, 32 keys, D = 64, f16):
//
//                         keys of a block          columns of the head            workgroup memory:
//                        | S[0]   S[1] |          | O[0] O[1] O[2] O[3] |           keys    [KEYS][D], a row a chunk longer
//   subgroup 0, rows Q   |             |  ->  P   |                     |           values  [D][KEYS], turned, the same
//   (in registers)       |             |          | (in registers)      |           strips  a row: | S in f32 | P | one chunk |
//   ---------------------+-------------+          +---------------------+                   one strip for each subgroup
//   subgroup 1, rows Q   |  ..         |          |  ..                 |
//
// No invocation may touch an element of a matrix, so that S goes through the strip, where a lane (or PARTS of them) has a row; p = 2^(S -
// m), rounded, goes back beside it, and l adds p as rounded. O cannot be scaled by rows but by a trip through the strip. So m lags behind:
// it moves only where a row's maximum exceeds it by SLACK, which leaves p below 2^8 and the end result the same, since all of it is
// divided by l (FlashAttention-4 does the same). The trip's barriers make the workgroup decide about it as one.
//
// A block costs three barriers: one when S is written, behind which the next keys and these values are stored, and two about whether O
// has to be scaled, behind which P, keys and values are there. Keys and values are on their way in registers meanwhile. Strips hold S
// and P side by side, so that neither is overwritten while another lane of the subgroup reads it.
//
// attention-matrix keeps all scores of its queries, which is impossible for a thousand tokens, and slower by four for 197 on an H200;
// attention-tile is for devices without matrices. Fragments lie at constant offsets, as in matmul-matrix.
// Mesa's compiler for NVIDIA's Ada, 128 queries by 4 at D = 64, where no maximum moves: 64 multiplications of 16 x 8 x 16 a block, 70 loads
// and stores, 290 other instructions (and 153 moves and waits), where the first loop of attention-matrix alone has 81 (and 42) for 16.
// Needs subgroup matrices and subgroups of exactly LANES invocations.
// #import chunk
// #import columns

/// Bound of the loop over blocks of keys; no constant, or compilers write the loop out.
struct Params {
  tokens: u32,                                                          // T
}
@group(0) @binding(0) var<storage, read> qkv: array<vec4u>;             // [B, T, 3, H, D]
@group(0) @binding(1) var<storage, read_write> output: array<vec4u>;    // [B, T, H, D]
@group(0) @binding(2) var<uniform> params: Params;

const ROWS = DOWN * MATRIX_M;                                           // queries of a subgroup
const INVOCATIONS = SUBGROUPS * LANES;
const HEAD_CHUNKS = DIMENSION / CHUNK;
const ROW_CHUNKS = HEADS * HEAD_CHUNKS;                                 // of one token in output; qkv has three times as many
const PITCH = HEAD_CHUNKS + 1;                                          // odd, so that eight rows lie in different banks
const SCORE_QUADS = KEYS / 4;
const STRIP_PITCH = SCORE_QUADS + KEYS / CHUNK + 1;                     // scores of a row, its p, and 16 bytes that make it odd
const STAGE_ROWS = INVOCATIONS / STAGE_CHUNKS;                          // keys of which all invocations together carry STAGE_CHUNKS each
const STAGE_DOWN = (KEYS + STAGE_ROWS - 1) / STAGE_ROWS;
const PARTS = max(1, LANES / ROWS);                                     // lanes that share a row of scores
const SLACK = 8.0;

const VALUE_PITCH = KEYS / CHUNK + 1;
const WORD_LANES = STAGE_CHUNKS * 4;                                    // words of a token's values that are carried side by side
const VALUE_GROUPS = INVOCATIONS / WORD_LANES;                          // groups of CHUNK keys that are carried at a time
const VALUE_DOWN = (KEYS / CHUNK + VALUE_GROUPS - 1) / VALUE_GROUPS;

alias Block = array<vec4u, BLOCK>;
alias Strip = array<vec4u, ROWS * STRIP_PITCH>;
var<workgroup> keys: Block;
var<workgroup> values: Block;
var<workgroup> strips: array<Strip, SUBGROUPS>;
var<workgroup> rises: array<u32, SUBGROUPS>;                            // whether a row of the subgroup has a new m
// #import matrix

/// The same word of CHUNK keys' values, from token `first` on.
fn carry(start: u32, last: u32, word: u32) -> array<vec4u, CHUNK_QUADS> {
  var words: array<vec4u, CHUNK_QUADS>;
  // #unroll
  for (var i = 0u; i < CHUNK; i++) { words[i / 4][i % 4] = qkv[min(start + i * 3 * ROW_CHUNKS, last)][word]; }
  return words;
}

@compute @workgroup_size(INVOCATIONS)
// #import subgroup
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) invocation: u32) {
  let subgroup = subgroupBroadcastFirst(invocation / LANES);
  let lane = invocation % LANES;
  let first_query = (workgroup.x * SUBGROUPS + subgroup) * ROWS;
  let head = workgroup.z * TOKENS * 3 * ROW_CHUNKS + workgroup.y * HEAD_CHUNKS;

  // queries, QUERY_CHUNKS of each at a time, through the subgroup's strip
  var queries: array<LeftMatrix, DOWN * STEPS>;
  // #unroll
  for (var part = 0u; part < QUERY_PARTS; part++) {
    for (var slot = lane; slot < ROWS * QUERY_CHUNKS; slot += LANES) {
      let token = min(first_query + slot / QUERY_CHUNKS, TOKENS - 1);
      let chunk = slot % QUERY_CHUNKS;
      strips[subgroup][slot / QUERY_CHUNKS * STRIP_PITCH + chunk] = qkv[head + token * 3 * ROW_CHUNKS + part * QUERY_CHUNKS + chunk];
    }
    workgroupBarrier();
    // #unroll
    for (var i = 0u; i < DOWN; i++) {
      // #unroll
      for (var step = 0u; step < QUERY_STEPS; step++) {
        queries[i * STEPS + part * QUERY_STEPS + step] = subgroupMatrixLoad<LeftMatrix, row_major>(
          &strips[subgroup], i * MATRIX_M * STRIP_PITCH + step * MATRIX_K / CHUNK, STRIP_PITCH);
      }
    }
    workgroupBarrier();
  }

  // What this invocation carries of a block: a chunk of a row, and those STAGE_CHUNKS to its right, STAGE_ROWS below it.
  let stage_row = invocation / STAGE_CHUNKS % KEYS;                     // a low block is carried by several
  let stage_slot = stage_row * PITCH + invocation % STAGE_CHUNKS;
  let key_start = head + ROW_CHUNKS + invocation % STAGE_CHUNKS;
  let last_start = key_start + (TOKENS - 1) * 3 * ROW_CHUNKS;
  let stage_start = key_start + stage_row * 3 * ROW_CHUNKS;
  var next_keys: array<vec4u, STAGES>;
  var next_values: array<array<vec4u, CHUNK_QUADS>, VALUE_STAGES>;
  let value_word = invocation % WORD_LANES;
  let value_group = invocation / WORD_LANES % (KEYS / CHUNK);
  let value_last = head + 2 * ROW_CHUNKS + value_word / 4 + (TOKENS - 1) * 3 * ROW_CHUNKS;
  let value_start = head + 2 * ROW_CHUNKS + value_word / 4 + value_group * CHUNK * 3 * ROW_CHUNKS;
  let value_slot = value_word * QUADS * VALUE_PITCH + value_group;
  // #unroll
  for (var i = 0u; i < VALUE_STAGES; i++) {
    let right = i / VALUE_DOWN * STAGE_CHUNKS;
    next_values[i] = carry(value_start + right + i % VALUE_DOWN * VALUE_GROUPS * CHUNK * 3 * ROW_CHUNKS, value_last + right, value_word % 4);
  }
  // #unroll
  for (var i = 0u; i < STAGES; i++) {
    let at = i % STAGE_DOWN * STAGE_ROWS * 3 * ROW_CHUNKS;
    let right = i / STAGE_DOWN * STAGE_CHUNKS;
    let here = min(stage_start + at, last_start) + right;
    keys[i % STAGE_DOWN * STAGE_ROWS * PITCH + right + stage_slot] = qkv[here];
    next_keys[i] = qkv[min(stage_start + at + KEYS * 3 * ROW_CHUNKS, last_start) + right];
  }
  workgroupBarrier();

  let own = lane / PARTS * STRIP_PITCH + lane % PARTS * LANE_QUADS;     // scores of this lane
  let own_p = lane / PARTS * STRIP_PITCH + SCORE_QUADS + lane % PARTS * LANE_CHUNKS;
  var sums: array<SumMatrix, DOWN * ACROSS>;
  var m: array<f32, LANE_ROWS>;
  var l: array<f32, LANE_ROWS>;
  for (var u = 0u; u < LANE_ROWS; u++) { m[u] = -1e30; }

  for (var first = 0u; first < params.tokens; first += KEYS) {
    // #unroll
    for (var j = 0u; j < KEY_MATRICES; j++) {
      var scores: array<SumMatrix, DOWN>;
      // zeroed by hand: Dawn zeroes a variable once, not in each turn of a loop
      // #unroll
      for (var i = 0u; i < DOWN; i++) { scores[i] = SumMatrix(); }
      // #unroll
      for (var step = 0u; step < STEPS; step++) {
        let right = subgroupMatrixLoad<RightMatrix, col_major>(&keys, j * MATRIX_N * PITCH + step * MATRIX_K / CHUNK, PITCH);
        // #unroll
        for (var i = 0u; i < DOWN; i++) { scores[i] = subgroupMatrixMultiplyAccumulate(queries[i * STEPS + step], right, scores[i]); }
      }
      // #unroll
      for (var i = 0u; i < DOWN; i++) {
        subgroupMatrixStore<row_major>(&strips[subgroup], i * MATRIX_M * STRIP_PITCH + j * MATRIX_N / 4, scores[i], STRIP_PITCH);
      }
    }
    workgroupBarrier();                                                 // scores are there; keys, and the values before, have been read

    // #unroll
    for (var i = 0u; i < STAGES; i++) {
      let slot = i % STAGE_DOWN * STAGE_ROWS * PITCH + i / STAGE_DOWN * STAGE_CHUNKS;
      keys[slot + stage_slot] = next_keys[i];
    }
    // #unroll
    for (var i = 0u; i < VALUE_STAGES; i++) {
      let columns = columns_of(next_values[i]);
      // #unroll
      for (var q = 0u; q < QUADS; q++) {
        values[(i / VALUE_DOWN * STAGE_CHUNKS * CHUNK + q) * VALUE_PITCH + i % VALUE_DOWN * VALUE_GROUPS + value_slot] = columns[q];
      }
    }
    var shrink: array<f32, LANE_ROWS>;
    var risen = false;
    for (var u = 0u; u < LANE_ROWS; u++) {
      var p: array<vec4f, LANE_QUADS>;
      // #unroll
      for (var c = 0u; c < LANE_QUADS; c++) { p[c] = bitcast<vec4f>(strips[subgroup][u * LANES * STRIP_PITCH + c + own]); }
      if (first + KEYS > TOKENS) {
        // #unroll
        for (var c = 0u; c < LANE_QUADS; c++) {
          let key = first + lane % PARTS * LANE_QUADS * 4 + c * 4;
          p[c] = select(vec4f(-1e30), p[c], vec4u(key) + vec4u(0, 1, 2, 3) < vec4u(TOKENS));
        }
      }
      var most = p[0];
      // #unroll
      for (var c = 1u; c < LANE_QUADS; c++) { most = max(most, p[c]); }
      let pair = max(most.xy, most.zw);
      var highest = max(pair.x, pair.y);
      // #unroll
      for (var bit = 0u; bit < PART_BITS; bit++) { highest = max(highest, subgroupShuffleXor(highest, 1u << bit)); }
      let before = m[u];
      let rises = highest * SCALE > before + SLACK;
      m[u] = select(before, highest * SCALE, rises);
      shrink[u] = exp2(before - m[u]);
      risen |= rises;
      var total = vec4f(0);
      // #unroll
      for (var c = 0u; c < LANE_CHUNKS; c++) {
        var quads: array<vec4f, CHUNK_QUADS>;
        // #unroll
        for (var q = 0u; q < QUADS; q++) { quads[q] = exp2(fma(p[c * CHUNK_QUADS + q], vec4f(SCALE), vec4f(-m[u]))); }
        let chunk = chunk_of(quads);
        let rounded = quads_of(chunk);
        // #unroll
        for (var q = 0u; q < QUADS; q++) { total += rounded[q]; }
        strips[subgroup][u * LANES * STRIP_PITCH + c + own_p] = chunk;
      }
      l[u] = fma(l[u], shrink[u], dot(total, vec4f(1)));
    }
    let any_rises = subgroupAny(risen);
    if (lane == 0) { rises[subgroup] = min(u32(any_rises), first); }
    let all_rises = workgroupUniformLoad(&rises);                       // a barrier: p is there, and the next keys, and values
    var rise = 0u;
    // #unroll
    for (var i = 0u; i < SUBGROUPS; i++) { rise |= all_rises[i]; }
    if (rise > 0) {
      // #unroll
      for (var trip = 0u; trip < TRIPS; trip++) {
        // #unroll
        for (var i = 0u; i < DOWN; i++) {
          // #unroll
          for (var j = 0u; j < TRIP; j++) {
            subgroupMatrixStore<row_major>(
              &strips[subgroup], i * MATRIX_M * STRIP_PITCH + j * MATRIX_N / 4, sums[i * ACROSS + trip * TRIP + j], STRIP_PITCH);
          }
        }
        workgroupBarrier();
        for (var u = 0u; u < LANE_ROWS; u++) {
          for (var c = 0u; c < LANE_QUADS; c++) {
            let slot = u * LANES * STRIP_PITCH + c + own;
            strips[subgroup][slot] = bitcast<vec4u>(bitcast<vec4f>(strips[subgroup][slot]) * shrink[u]);
          }
        }
        workgroupBarrier();
        // #unroll
        for (var i = 0u; i < DOWN; i++) {
          // #unroll
          for (var j = 0u; j < TRIP; j++) {
            sums[i * ACROSS + trip * TRIP + j] = subgroupMatrixLoad<SumMatrix, row_major>(
              &strips[subgroup], i * MATRIX_M * STRIP_PITCH + j * MATRIX_N / 4, STRIP_PITCH);
          }
        }
        workgroupBarrier();
      }
    }

    // #unroll
    for (var i = 0u; i < STAGES; i++) {
      let at = stage_start + (first + KEYS + i % STAGE_DOWN * STAGE_ROWS) * 3 * ROW_CHUNKS;
      next_keys[i] = qkv[min(at + KEYS * 3 * ROW_CHUNKS, last_start) + i / STAGE_DOWN * STAGE_CHUNKS];
    }
    // #unroll
    for (var i = 0u; i < VALUE_STAGES; i++) {
      let right = i / VALUE_DOWN * STAGE_CHUNKS;
      next_values[i] = carry(value_start + right + (first + KEYS + i % VALUE_DOWN * VALUE_GROUPS * CHUNK) * 3 * ROW_CHUNKS, value_last + right, value_word % 4);
    }
    // #unroll
    for (var step = 0u; step < KEY_STEPS; step++) {
      var left: array<LeftMatrix, DOWN>;
      // #unroll
      for (var i = 0u; i < DOWN; i++) {
        left[i] = subgroupMatrixLoad<LeftMatrix, row_major>(
          &strips[subgroup], i * MATRIX_M * STRIP_PITCH + SCORE_QUADS + step * MATRIX_K / CHUNK, STRIP_PITCH);
      }
      // #unroll
      for (var j = 0u; j < ACROSS; j++) {
        let right = subgroupMatrixLoad<RightMatrix, col_major>(&values, j * MATRIX_N * VALUE_PITCH + step * MATRIX_K / CHUNK, VALUE_PITCH);
        // #unroll
        for (var i = 0u; i < DOWN; i++) { sums[i * ACROSS + j] = subgroupMatrixMultiplyAccumulate(left[i], right, sums[i * ACROSS + j]); }
      }
    }
  }

  for (var u = 0u; u < LANE_ROWS; u++) {
    // #unroll
    for (var bit = 0u; bit < PART_BITS; bit++) { l[u] += subgroupShuffleXor(l[u], 1u << bit); }
    if (lane % PARTS == 0) { strips[subgroup][(u * LANES + lane / PARTS + 1) * STRIP_PITCH - 1].x = bitcast<u32>(1 / l[u]); }
  }
  workgroupBarrier();                                                   // p has been read
  // #unroll
  for (var part = 0u; part < OUT_PARTS; part++) {
    // #unroll
    for (var i = 0u; i < DOWN; i++) {
      // #unroll
      for (var j = 0u; j < OUT; j++) {
        subgroupMatrixStore<row_major>(
          &strips[subgroup], i * MATRIX_M * STRIP_PITCH + j * MATRIX_N / 4, sums[i * ACROSS + part * OUT + j], STRIP_PITCH);
      }
    }
    workgroupBarrier();
    for (var slot = lane; slot < ROWS * OUT_CHUNKS; slot += LANES) {
      let row = slot / OUT_CHUNKS;
      let start = row * STRIP_PITCH;
      var quads: array<vec4f, CHUNK_QUADS>;
      let scale = bitcast<f32>(strips[subgroup][start + STRIP_PITCH - 1].x);
      // #unroll
      for (var q = 0u; q < QUADS; q++) { quads[q] = bitcast<vec4f>(strips[subgroup][start + slot % OUT_CHUNKS * CHUNK_QUADS + q]) * scale; }
      if (first_query + row < TOKENS) {
        output[((workgroup.z * TOKENS + first_query + row) * HEADS + workgroup.y) * HEAD_CHUNKS + part * OUT_CHUNKS + slot % OUT_CHUNKS] = chunk_of(quads);
      }
    }
    workgroupBarrier();
  }
}
