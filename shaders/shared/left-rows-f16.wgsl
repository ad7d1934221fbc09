// The left operand of a matmul by matrices of f16, wherever its rows come from.
// #import rows

/// Eight neighbours in k of one row.
fn left_chunk(row: u32, chunk: u32) -> vec4u {
  let low = input_quad(row, chunk * 2);
  let high = input_quad(row, chunk * 2 + 1);
  return vec4u(pack2x16float(low.xy), pack2x16float(low.zw), pack2x16float(high.xy), pack2x16float(high.zw));
}
