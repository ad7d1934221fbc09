  // Sums leave through workgroup memory, since no invocation may touch an element of a matrix: a strip of MATRIX_M rows and STRIP
  // matrices at a time, in the subgroup's own region; each invocation then finishes eight neighbours of a row.
  let strip_row = invocation % LANES / STRIP_PAIRS;
  let strip_quad = strip_row * STRIP_PITCH + invocation % STRIP_PAIRS * 2;
  let is_idle = STRIP_ROWS > MATRIX_M && strip_row >= MATRIX_M;
  let sum_row = select(first_row + down * PIECE_ROWS + strip_row, params.rows, is_idle);
  // #unroll
  for (var strip = 0u; strip < STRIPS; strip++) {
    let pair = (first_column + across * PIECE_COLUMNS) / 8 + strip * STRIP_PAIRS + invocation % STRIP_PAIRS;
    let biases = array(bias_at(pair * 2), bias_at(pair * 2 + 1));
    // read all at once: in turn with the results, which go to the same buffer, each would be waited for
    var residuals: array<ResidualPair, DOWN * STRIP_STEPS>;
    // #unroll
    for (var i = 0u; i < DOWN; i++) {
      // #unroll
      for (var step = 0u; step < STRIP_STEPS; step++) {
        residuals[i * STRIP_STEPS + step] = residual_pair(sum_row + i * MATRIX_M + step * STRIP_ROWS, pair);
      }
    }
    // #unroll
    for (var i = 0u; i < DOWN; i++) {
      // #unroll
      for (var j = 0u; j < STRIP; j++) {
        subgroupMatrixStore<row_major>(&memory[0][subgroup], j * MATRIX_N / 4, sums[i * ACROSS + strip * STRIP + j], STRIP_PITCH);
      }
      workgroupBarrier();
      // #unroll
      for (var step = 0u; step < STRIP_STEPS; step++) {
        let quad = strip_quad + step * STRIP_ROWS * STRIP_PITCH;
        let left = bitcast<vec4f>(memory[0][subgroup][quad]);
        let right = bitcast<vec4f>(memory[0][subgroup][quad + 1]);
        finish_pair(sum_row + i * MATRIX_M + step * STRIP_ROWS, pair, left, right, biases, residuals[i * STRIP_STEPS + step]);
      }
      workgroupBarrier();                                               // the strip has been read
    }
  }
