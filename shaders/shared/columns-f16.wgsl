// Chunks of eight halves that are the rows of a square, turned.
/// Column i of eight chunks that are the rows of a square.
fn column_of(rows: array<vec4u, 8>, i: u32) -> vec4u {
  let even = vec4u(rows[0][i / 2], rows[2][i / 2], rows[4][i / 2], rows[6][i / 2]);
  let odd = vec4u(rows[1][i / 2], rows[3][i / 2], rows[5][i / 2], rows[7][i / 2]);
  return select((even & vec4u(0xffff)) | (odd << vec4u(16)), (even >> vec4u(16)) | (odd & vec4u(0xffff0000)), i % 2 == 1);
}

/// The columns of eight rows of a word, two elements each.
fn columns_of(words: array<vec4u, 2>) -> array<vec4u, 2> {
  let even = vec4u(words[0].xz, words[1].xz);
  let odd = vec4u(words[0].yw, words[1].yw);
  return array((even & vec4u(0xffff)) | (odd << vec4u(16)), (even >> vec4u(16)) | (odd & vec4u(0xffff0000)));
}
