// The left operand of a matmul by matrices of f32, wherever its rows come from.
// #import rows

/// Four neighbours in k of one row.
fn left_chunk(row: u32, chunk: u32) -> vec4u { return bitcast<vec4u>(input_quad(row, chunk)); }
