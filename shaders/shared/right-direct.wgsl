        // the right operand's matrix of these columns and this step, straight from memory: a block, or a part of one
        let right = subgroupMatrixLoad<RightMatrix, col_major>(
          &weight, weight_start(first_column + across * PIECE_COLUMNS + j * MATRIX_N, step * MATRIX_K / CHUNK)
            + (first_k + k) * BLOCK_COLUMN, BLOCK_COLUMN);
