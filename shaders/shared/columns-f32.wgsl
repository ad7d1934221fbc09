// Chunks of four f32 that are the rows of a square, turned.
/// Column i of four chunks that are the rows of a square.
fn column_of(rows: array<vec4u, 4>, i: u32) -> vec4u { return vec4u(rows[0][i], rows[1][i], rows[2][i], rows[3][i]); }

/// The column of four rows of a word, one element each.
fn columns_of(words: array<vec4u, 1>) -> array<vec4u, 1> { return words; }
