  // Over k for subgroups that are one quad of SwiftShader's. Of 16 k each lane loads four and gets its neighbours' by swaps, an instruction
  // each where a shuffle is a dozen. So each lane meets the 16 in an order of its own, which its weights follow: loads gather anyhow.
  // Loads are loops, since each is hundreds of instructions to compile. Products are of matrices and written out: SwiftShader keeps their sums
  // in registers, those of single fmas in memory, and compiles them in half the time.
  for (var k = 0u; k < K; k += 16) {
    var factors: array<mat4x4f, 4 * QUADS>;                             // of each quad of columns: its own, X, Y and diagonal neighbour's k
    for (var q = 0u; q < QUADS; q++) {
      let column = weight_column(first_column + q * LANES);
      for (var i = 0u; i < lanes * 4; i++) { factors[q * 4 + i / 4][i % 4] = weight_at(column, k + (i ^ (lane * 4))); }
    }
    var mine: array<mat4x4f, ROW_GROUPS>;
    for (var r = 0u; r < ROW_COUNT; r++) { mine[r / 4][r % 4] = input_quad(first_row + r, k / 4 + lane); }
    // #unroll
    for (var group = 0u; group < ROW_GROUPS; group++) {
      let own = mine[group];
      let x = mat4x4f(quadSwapX(own[0]), quadSwapX(own[1]), quadSwapX(own[2]), quadSwapX(own[3]));
      let y = mat4x4f(quadSwapY(own[0]), quadSwapY(own[1]), quadSwapY(own[2]), quadSwapY(own[3]));
      let diagonal = mat4x4f(quadSwapDiagonal(own[0]), quadSwapDiagonal(own[1]), quadSwapDiagonal(own[2]), quadSwapDiagonal(own[3]));
      // #unroll
      for (var q = 0u; q < QUADS; q++) {
        let products = factors[q * 4] * own + factors[q * 4 + 1] * x + (factors[q * 4 + 2] * y + factors[q * 4 + 3] * diagonal);
        // #unroll
        for (var r = 0u; r < 4; r++) { sums[(group * 4 + r) * QUADS + q] += products[r]; }
      }
    }
  }
