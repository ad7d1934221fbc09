        // the right operand's matrix of these columns and this step, from workgroup memory
        let right = subgroupMatrixLoad<RightMatrix, col_major>(
          &memory[buffer][RIGHT + across * (PIECE_COLUMNS / REGION_ROWS) + j * MATRIX_N / REGION_ROWS],
          j * MATRIX_N % REGION_ROWS * TILE_PITCH + step * MATRIX_K / CHUNK, TILE_PITCH);
