// A chunk of 16 bytes: four f32, as bits.
const CHUNK_QUADS = 1;

fn chunk_of(quads: array<vec4f, 1>) -> vec4u { return bitcast<vec4u>(quads[0]); }

fn quads_of(chunk: vec4u) -> array<vec4f, 1> { return array(bitcast<vec4f>(chunk)); }

/// Column i of four chunks that are the rows of a square.
fn column_of(rows: array<vec4u, 4>, i: u32) -> vec4u { return vec4u(rows[0][i], rows[1][i], rows[2][i], rows[3][i]); }

/// The column of four rows of a word, one element each.
fn columns_of(words: array<vec4u, 1>) -> array<vec4u, 1> { return words; }
