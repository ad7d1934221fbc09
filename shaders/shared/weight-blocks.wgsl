// The right operand of a matmul where the device multiplies subgroup matrices: panels of 16 columns, in which each column's k are
// neighbours, 16 at a time. For kernels without matrices, which such a device runs as a second choice.
@group(0) @binding(1) var<storage, read> weight: array<Quad>;           // [N/16, K/16, 16, 16]

/// Four neighbours in n, one of each of four quads; `column` counts quads of N. Past N's padding the last panel is read again: those
/// columns are never stored.
fn weight_quad(k: u32, column: u32) -> vec4f {
  let panel = min(column / 4, PANELS - 1);
  let first = panel * K * 4 + k / 16 * 64 + column % 4 * 16 + k % 16 / 4;
  return vec4f(
    load_quad(weight[first])[k % 4], load_quad(weight[first + 4])[k % 4],
    load_quad(weight[first + 8])[k % 4], load_quad(weight[first + 12])[k % 4]);
}
