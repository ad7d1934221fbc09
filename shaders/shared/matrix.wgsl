// Subgroup matrices. Memory is an array of chunks of 16 bytes, whatever the elements, so that compilers know they may load and store
// as much at once. The tests put plain WGSL in the place of this text, and of the functions on matrices.
// #import component
alias LeftMatrix = subgroup_matrix_left<Component, MATRIX_K, MATRIX_M>;     // rows of k
alias RightMatrix = subgroup_matrix_right<Component, MATRIX_N, MATRIX_K>;   // columns of k
alias SumMatrix = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;          // rows of n
