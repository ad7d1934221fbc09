// The right operand of a matmul: the transpose of PyTorch's [N, K] weight, in panels of 16 columns, so that every kernel reads whole
// runs of memory whatever its tile. K is padded to a multiple of 32, N to one of 16, with zeros.
@group(0) @binding(1) var<storage, read> weight: array<Quad>;           // [N/16, K, 16]

/// Where a quad of columns begins, for weight_at: loops over k keep it. Past N's padding the last panel is read again: those columns are
/// never stored.
fn weight_column(column: u32) -> u32 { return min(column / 4, PANELS - 1) * K * 4 + column % 4; }

/// Four neighbours in n at one k of the columns that begin at `start`.
fn weight_at(start: u32, k: u32) -> vec4f { return load_quad(weight[start + k * 4]); }

fn weight_quad(k: u32, column: u32) -> vec4f { return weight_at(weight_column(column), k); }
