  // Sums of a part of K go to memory as they are: [split, row, column], rows and columns padded to whole tiles.
  // #unroll
  for (var i = 0u; i < DOWN; i++) {
    // #unroll
    for (var j = 0u; j < ACROSS; j++) {
      let sum_row = (workgroup.z * workgroups.y + tile.y) * TILE_ROWS + down * PIECE_ROWS + i * MATRIX_M;
      let column = first_column + across * PIECE_COLUMNS + j * MATRIX_N;
      subgroupMatrixStore<row_major>(&partial, sum_row * PARTIAL_QUADS + column / 4, sums[i * ACROSS + j], PARTIAL_QUADS);
    }
  }
