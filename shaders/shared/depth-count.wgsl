  // Hidden from the compiler, which would write the loop out: Mesa gives every turn of a sum a register of its own on Intel's GPUs.
  let DEPTH_COUNT = params.depth;
