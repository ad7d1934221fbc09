  // Hidden from the compiler, which would unroll a constant count: the time that llvmpipe takes to compile grows with the square of the
  // branches, of which each of its loads and stores has dozens, and SwiftShader compiles hundreds of instructions for a load.
  let ROW_COUNT = lanes * ROWS / LANES;
