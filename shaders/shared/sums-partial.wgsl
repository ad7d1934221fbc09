  // Sums of a part of K go to memory as they are, for matmul-split to add up: rows and columns padded to whole tiles.
  let padded_rows = (params.rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
  let sum_row = workgroup.z * padded_rows + first_row + down * PIECE_ROWS;
  let sum_quad = (first_column + across * PIECE_COLUMNS) / 4;
  // #unroll
  for (var i = 0u; i < DOWN; i++) {
    // #unroll
    for (var j = 0u; j < ACROSS; j++) {
      subgroupMatrixStore<row_major>(
        &partial, (sum_row + i * MATRIX_M) * PARTIAL_QUADS + sum_quad + j * MATRIX_N / 4, sums[i * ACROSS + j], PARTIAL_QUADS);
    }
  }
