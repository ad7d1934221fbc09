// The right operand of a matmul: the transpose of PyTorch's [N, K] weight, in panels of 16 columns, so that every kernel reads whole
// runs of memory whatever its tile. K is padded to a multiple of 32, N to one of 16, with zeros.
@group(0) @binding(1) var<storage, read> weight: array<Quad>;           // [N/16, K, 16]

/// Four neighbours in n; `column` counts quads of N. Past N's padding the last panel is read again: those columns are never stored.
fn weight_quad(k: u32, column: u32) -> vec4f {
  let panel = min(column / 4, PANELS - 1);
  return load_quad(weight[(panel * K + k) * 4 + column % 4]);
}
