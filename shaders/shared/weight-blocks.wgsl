// The right operand of a matmul where the device multiplies subgroup matrices: panels of 16 columns, in which each column's k are
// neighbours, 16 at a time. For kernels without matrices, which such a device runs as a second choice.
@group(0) @binding(1) var<storage, read> weight: array<Quad>;           // [N/16, K/16, 16, 16]

/// Where a quad of columns begins, for weight_at: loops over k keep it. Past N's padding the last panel is read again: those columns are
/// never stored.
fn weight_column(column: u32) -> u32 { return min(column / 4, PANELS - 1) * K * 4 + column % 4 * 16; }

/// Four neighbours in n, one of each of four quads, at one k of the columns that begin at `start`.
fn weight_at(start: u32, k: u32) -> vec4f {
  let first = start + k / 16 * 64 + k % 16 / 4;
  return vec4f(
    load_quad(weight[first])[k % 4], load_quad(weight[first + 4])[k % 4],
    load_quad(weight[first + 8])[k % 4], load_quad(weight[first + 12])[k % 4]);
}

fn weight_quad(k: u32, column: u32) -> vec4f { return weight_at(weight_column(column), k); }
