  // Over k for subgroups of any size: of LANES quads of k each lane loads one, and shuffles hand it round.
  for (var k = 0u; k < K; k += LANES * 4) {
    var mine: array<vec4f, ROWS>;
    // #unroll
    for (var r = 0u; r < ROW_COUNT; r++) { mine[r] = input_quad(first_row + r, k / 4 + lane); }
    // counted by the builtin: compilers unroll a constant count, which takes llvmpipe three times as long and gains nothing
    for (var turn = 0u; turn < lanes; turn++) {
      var factors: array<vec4f, 4 * QUADS>;
      // #unroll
      for (var q = 0u; q < QUADS; q++) {
        let column = weight_column(first_column + q * LANES);
        // #unroll
        for (var i = 0u; i < 4; i++) { factors[q * 4 + i] = weight_at(column, k + turn * 4 + i); }
      }
      // #unroll
      for (var r = 0u; r < ROWS; r++) {
        let row = subgroupShuffle(mine[r], turn);
        // #unroll
        for (var q = 0u; q < QUADS; q++) {
          var sum = sums[r * QUADS + q];
          sum = fma(factors[q * 4], vec4f(row.x), sum);
          sum = fma(factors[q * 4 + 1], vec4f(row.y), sum);
          sum = fma(factors[q * 4 + 2], vec4f(row.z), sum);
          sum = fma(factors[q * 4 + 3], vec4f(row.w), sum);
          sums[r * QUADS + q] = sum;
        }
      }
    }
  }
