// A chunk of 16 bytes: four f32, as bits.
const CHUNK_QUADS = 1;

fn chunk_of(quads: array<vec4f, 1>) -> vec4u { return bitcast<vec4u>(quads[0]); }

fn quads_of(chunk: vec4u) -> array<vec4f, 1> { return array(bitcast<vec4f>(chunk)); }
