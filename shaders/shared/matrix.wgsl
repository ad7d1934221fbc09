// Subgroup matrices. Memory is an array of chunks of 16 bytes, whatever the elements, so that compilers know they may load and store
// as much at once; a kernel names what it loads from and stores to: LeftMemory, RightMemory, SumMemory.
// #import component
alias LeftMatrix = subgroup_matrix_left<Component, MATRIX_K, MATRIX_M>;
alias RightMatrix = subgroup_matrix_right<Component, MATRIX_N, MATRIX_K>;
alias SumMatrix = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;

/// Rows of k.
fn load_left(memory: LeftMemory, chunk: u32, stride: u32) -> LeftMatrix {
  return subgroupMatrixLoad<LeftMatrix, row_major>(memory, chunk, stride);
}

/// Columns of k.
fn load_right(memory: RightMemory, chunk: u32, stride: u32) -> RightMatrix {
  return subgroupMatrixLoad<RightMatrix, col_major>(memory, chunk, stride);
}

/// left right + sum
fn multiply(left: LeftMatrix, right: RightMatrix, sum: SumMatrix) -> SumMatrix {
  return subgroupMatrixMultiplyAccumulate(left, right, sum);
}

/// Rows of n.
fn store_sum(memory: SumMemory, chunk: u32, sum: SumMatrix, stride: u32) {
  subgroupMatrixStore<row_major>(memory, chunk, sum, stride);
}
