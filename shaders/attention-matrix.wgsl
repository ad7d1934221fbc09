// output[b, i, h] = sum over j of softmax over j (SCALE q[b, i, h] . k[b, j, h]) v[b, j, h]
//
// One workgroup = QUERIES queries of one head of one sequence. All their scores lie in workgroup memory, [QUERIES, KEYS] in f32, so
// that the softmax is the plain one, maximum first; what it gives takes the place of the scores, in the matrices' element type, its
// sums kept apart. Keys, then values, pass through workgroup memory in blocks, values turned so that their keys are neighbours.
// Each subgroup has its own keys of a block for the scores, and its own columns of the output. Beyond T, keys and values are zeros.
//
//                     keys of a block: subgroup 0 | 1 | 2 | 3         columns of the head: subgroup 0 | 1 | 2 | 3
//   QUERIES rows Q    scores          S[0..DOWN]  | .. |      ->  P   output            O[0..DOWN]    | .. |
//
// It is attention as first written, without an online softmax, for up to about 300 tokens, whose rows of scores fit. On an H200 it has a
// quarter of attention-flash's speed; it stays for GPUs whose compilers spill that one's sums. Mesa's for RDNA3: 8 multiplications, 25
// loads and stores, 70 other instructions a block of keys.
// Needs subgroup matrices and subgroups of exactly LANES lanes.
// #import storage
// #import chunk
// #import columns

@group(0) @binding(0) var<storage, read> qkv: array<vec4u>;             // [B, T, 3, H, D]
@group(0) @binding(1) var<storage, read_write> output: array<Quad>;     // [B, T, H, D]

const INVOCATIONS = SUBGROUPS * LANES;
const QUERIES = DOWN * MATRIX_M;
const HEAD_CHUNKS = DIMENSION / CHUNK;
const ROW_CHUNKS = HEADS * HEAD_CHUNKS;                                 // of one token in output; qkv has three times as many
const BLOCK = SUBGROUPS * MATRIX_N;                                     // keys of a block, a multiple of MATRIX_K
const BLOCK_CHUNKS = BLOCK / CHUNK;
const QUERY_PITCH = HEAD_CHUNKS + 1;                                    // odd, so that eight rows lie in different banks
const SCORE_PITCH = KEYS / 4 + 1;
const SUM_PITCH = DIMENSION / 4 + 2;

alias Strip = array<vec4u, SCORES>;
alias Block = array<vec4u, MATRIX_N * BLOCK_PITCH>;                     // the rows of a matrix of keys, or of values turned
var<workgroup> scores: Strip;                                           // [QUERIES, KEYS]; queries before, sums after
var<workgroup> block: array<Block, BLOCKS>;                             // keys or values
var<workgroup> totals: array<f32, QUERIES>;                             // sums of a row's exponentials
// #import matrix

@compute @workgroup_size(INVOCATIONS)
// #import subgroup
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) invocation: u32) {
  let subgroup = subgroupBroadcastFirst(invocation / LANES);
  let lane = invocation % LANES;
  let first_query = workgroup.x * QUERIES;
  let head = workgroup.y * HEAD_CHUNKS;
  let sequence = workgroup.z * TOKENS;

  for (var slot = invocation; slot < QUERIES * HEAD_CHUNKS; slot += INVOCATIONS) {
    let token = sequence + min(first_query + slot / HEAD_CHUNKS, TOKENS - 1);
    scores[slot / HEAD_CHUNKS * QUERY_PITCH + slot % HEAD_CHUNKS] = qkv[token * 3 * ROW_CHUNKS + head + slot % HEAD_CHUNKS];
  }
  workgroupBarrier();
  var queries: array<LeftMatrix, DOWN * STEPS>;
  // #unroll
  for (var i = 0u; i < DOWN; i++) {
    // #unroll
    for (var step = 0u; step < STEPS; step++) {
      queries[i * STEPS + step] = subgroupMatrixLoad<LeftMatrix, row_major>(
        &scores, i * MATRIX_M * QUERY_PITCH + step * MATRIX_K / CHUNK, QUERY_PITCH);
    }
  }

  for (var first = 0u; first < KEYS; first += BLOCK) {
    workgroupBarrier();                                                 // what is in the block is no longer read
    for (var slot = invocation; slot < BLOCK * HEAD_CHUNKS; slot += INVOCATIONS) {
      let key = first + slot / HEAD_CHUNKS;
      let row = (sequence + min(key, TOKENS - 1)) * 3 * ROW_CHUNKS + ROW_CHUNKS + head;
      let chunk = select(vec4u(0), qkv[row + slot % HEAD_CHUNKS], key < TOKENS);
      let line = slot / HEAD_CHUNKS;
      block[line / MATRIX_N][line % MATRIX_N * BLOCK_PITCH + slot % HEAD_CHUNKS] = chunk;
    }
    workgroupBarrier();
    // subgroups past the last key compute the last matrix again: a branch around matrices would have to be explained to compilers
    let own_key = min(first + subgroup * MATRIX_N, KEYS - MATRIX_N);
    var sums: array<SumMatrix, DOWN>;
    // zeroed by hand: Dawn zeroes a variable once, not in each turn of a loop
    // #unroll
    for (var i = 0u; i < DOWN; i++) { sums[i] = SumMatrix(); }
    // #unroll
    for (var step = 0u; step < STEPS; step++) {
      let keys = subgroupMatrixLoad<RightMatrix, col_major>(
        &block[(own_key - first) / MATRIX_N], step * MATRIX_K / CHUNK, BLOCK_PITCH);
      // #unroll
      for (var i = 0u; i < DOWN; i++) { sums[i] = subgroupMatrixMultiplyAccumulate(queries[i * STEPS + step], keys, sums[i]); }
    }
    // #unroll
    for (var i = 0u; i < DOWN; i++) { subgroupMatrixStore<row_major>(&scores, i * MATRIX_M * SCORE_PITCH + own_key / 4, sums[i], SCORE_PITCH); }
  }
  workgroupBarrier();

  // a subgroup a row; each lane has whole chunks of what comes out
  for (var turn = 0u; turn < QUERIES / SUBGROUPS; turn++) {
    let row = turn * SUBGROUPS + subgroup;
    let start = row * SCORE_PITCH;
    var shares: array<array<vec4f, CHUNK_QUADS>, PER_LANE>;
    var peak = vec4f(-1e30);
    for (var i = 0u; i < PER_LANE; i++) {
      for (var q = 0u; q < CHUNK_QUADS; q++) {
        let quad = (i * LANES + lane) * CHUNK_QUADS + q;
        let score = bitcast<vec4f>(scores[start + min(quad, KEYS / 4 - 1)]) * SCALE;
        shares[i][q] = select(vec4f(-1e30), score, vec4u(quad * 4) + vec4u(0, 1, 2, 3) < vec4u(TOKENS));
        peak = max(peak, shares[i][q]);
      }
    }
    let pair = max(peak.xy, peak.zw);
    let highest = subgroupMax(max(pair.x, pair.y));
    workgroupBarrier();                                                 // all scores of the row have been read
    var total = vec4f(0);
    for (var i = 0u; i < PER_LANE; i++) {
      for (var q = 0u; q < CHUNK_QUADS; q++) { shares[i][q] = exp(shares[i][q] - highest); }
      let chunk = chunk_of(shares[i]);
      // shares are summed as rounded, so that they add up to one
      let rounded = quads_of(chunk);
      for (var q = 0u; q < CHUNK_QUADS; q++) { total += rounded[q]; }
      if (i * LANES + lane < KEYS / CHUNK) { scores[start + i * LANES + lane] = chunk; }
    }
    let sum = subgroupAdd(dot(total, vec4f(1)));
    if (lane == 0) { totals[row] = sum; }
  }

  var sums: array<SumMatrix, DOWN * OWN>;
  for (var first = 0u; first < KEYS; first += BLOCK) {
    workgroupBarrier();                                                 // what is in the block is no longer read
    for (var slot = invocation; slot < BLOCK_CHUNKS * HEAD_CHUNKS; slot += INVOCATIONS) {
      let column = slot % HEAD_CHUNKS;
      let keys = slot / HEAD_CHUNKS;
      var rows: array<vec4u, CHUNK>;
      // #unroll
      for (var i = 0u; i < CHUNK; i++) {
        let key = first + keys * CHUNK + i;
        let row = (sequence + min(key, TOKENS - 1)) * 3 * ROW_CHUNKS + 2 * ROW_CHUNKS + head;
        rows[i] = select(vec4u(0), qkv[row + column], key < TOKENS);
      }
      // #unroll
      for (var i = 0u; i < CHUNK; i++) {
        let line = column * CHUNK + i;
        block[line / MATRIX_N][line % MATRIX_N * BLOCK_PITCH + keys] = column_of(rows, i);
      }
    }
    workgroupBarrier();
    let end = min(KEYS - first, BLOCK);
    for (var k = 0u; k < end; k += MATRIX_K) {
      var shares: array<LeftMatrix, DOWN>;
      // #unroll
      for (var i = 0u; i < DOWN; i++) {
        shares[i] = subgroupMatrixLoad<LeftMatrix, row_major>(&scores, i * MATRIX_M * SCORE_PITCH + (first + k) / CHUNK, SCORE_PITCH);
      }
      // #unroll
      for (var j = 0u; j < OWN; j++) {
        let column = min((j * SUBGROUPS + subgroup) * MATRIX_N, DIMENSION - MATRIX_N);
        let values = subgroupMatrixLoad<RightMatrix, col_major>(&block[column / MATRIX_N], k / CHUNK, BLOCK_PITCH);
        // #unroll
        for (var i = 0u; i < DOWN; i++) { sums[i * OWN + j] = subgroupMatrixMultiplyAccumulate(shares[i], values, sums[i * OWN + j]); }
      }
    }
  }

  workgroupBarrier();                                                   // the scores are no longer read
  // #unroll
  for (var j = 0u; j < OWN; j++) {
    let column = min((j * SUBGROUPS + subgroup) * MATRIX_N, DIMENSION - MATRIX_N);
    // #unroll
    for (var i = 0u; i < DOWN; i++) { subgroupMatrixStore<row_major>(&scores, i * MATRIX_M * SUM_PITCH + column / 4, sums[i * OWN + j], SUM_PITCH); }
  }
  workgroupBarrier();
  for (var slot = invocation; slot < QUERIES * DIMENSION / 4; slot += INVOCATIONS) {
    let row = slot / (DIMENSION / 4);
    let quad = slot % (DIMENSION / 4);
    let sum = bitcast<vec4f>(scores[row * SUM_PITCH + quad]);
    if (first_query + row < TOKENS) {
      output[((sequence + first_query + row) * HEADS + workgroup.y) * (DIMENSION / 4) + quad] = store_quad(sum / totals[row]);
    }
  }
}
