// Subgroup matrices in plain WGSL, in the place of shaders/shared/matrix.wgsl and of the functions on matrices, so that kernels that
// multiply them run, and can be wrong, on adapters without. The lanes of a subgroup share a left matrix element by element and have
// whole columns of right and sum; on the way into `multiply` each left element is handed to all lanes. f16 elements are taken out of
// their chunks as bits, which needs no shader-f16.
struct LeftMatrix { elements: array<f32, MATRIX_M * MATRIX_K / LANES> } // [m * MATRIX_K + k over the lanes]
struct RightMatrix { elements: array<f32, COLUMNS * MATRIX_K> }         // [own column][k]
struct SumMatrix { elements: array<f32, COLUMNS * MATRIX_M> }           // [own column][m]
const COLUMNS = MATRIX_N / LANES;                                       // of each lane: its own, and every LANES-th after it

fn own_lane() -> u32 { return subgroupExclusiveAdd(1u); }

/// LANES, but no constant to compilers, which write loops of a constant count out.
fn lanes() -> u32 { return subgroupAdd(1u); }

fn element(chunk: vec4u, i: u32) -> f32 {
  if (CHUNK == 8) { return unpack2x16float(chunk[i / 2])[i % 2]; }
  return bitcast<f32>(chunk[i % 4]);
}

fn load_left(memory: LeftMemory, chunk: u32, stride: u32) -> LeftMatrix {
  var left: LeftMatrix;
  let lane = own_lane();
  let count = MATRIX_M * MATRIX_K / lanes();
  for (var i = 0u; i < count; i++) {
    let m = (i * LANES + lane) / MATRIX_K;
    let k = (i * LANES + lane) % MATRIX_K;
    left.elements[i] = element((*memory)[chunk + m * stride + k / CHUNK], k % CHUNK);
  }
  return left;
}

fn load_right(memory: RightMemory, chunk: u32, stride: u32) -> RightMatrix {
  var right: RightMatrix;
  let lane = own_lane();
  let count = MATRIX_N * MATRIX_K / lanes();
  for (var i = 0u; i < count; i++) {
    let n = lane + i / MATRIX_K * LANES;
    let k = i % MATRIX_K;
    right.elements[i] = element((*memory)[chunk + n * stride + k / CHUNK], k % CHUNK);
  }
  return right;
}

fn multiply(left: LeftMatrix, right: RightMatrix, before: SumMatrix) -> SumMatrix {
  var a = left;
  var b = right;
  var sum = before;
  let count = MATRIX_M * MATRIX_K / LANES * lanes();
  for (var i = 0u; i < count; i++) {
    let value = subgroupShuffle(a.elements[i / LANES], i % LANES);
    for (var column = 0u; column < COLUMNS; column++) {
      let slot = column * MATRIX_M + i / MATRIX_K;
      sum.elements[slot] = fma(value, b.elements[column * MATRIX_K + i % MATRIX_K], sum.elements[slot]);
    }
  }
  return sum;
}

fn store_sum(memory: SumMemory, chunk: u32, sum: SumMatrix, stride: u32) {
  var s = sum;
  let lane = own_lane();
  let count = MATRIX_N * MATRIX_M / lanes();
  for (var i = 0u; i < count; i++) {
    let n = lane + i / MATRIX_M * LANES;
    (*memory)[chunk + i % MATRIX_M * stride + n / 4][n % 4] = bitcast<u32>(s.elements[i]);
  }
}

fn load_sum(memory: SumMemory, chunk: u32, stride: u32) -> SumMatrix {
  var sum: SumMatrix;
  let lane = own_lane();
  let count = MATRIX_N * MATRIX_M / lanes();
  for (var i = 0u; i < count; i++) {
    let n = lane + i / MATRIX_M * LANES;
    sum.elements[i] = bitcast<f32>((*memory)[chunk + i % MATRIX_M * stride + n / 4][n % 4]);
  }
  return sum;
}
