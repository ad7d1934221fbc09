// Sums over a workgroup by halving, in workgroup memory. LANES is a power of two.
var<workgroup> terms: array<f32, LANES>;

fn workgroup_sum(term: f32, lane: u32) -> f32 {
  terms[lane] = term;
  for (var width = u32(LANES / 2); width > 0; width /= 2) {
    workgroupBarrier();
    if (lane < width) { terms[lane] += terms[lane + width]; }
  }
  workgroupBarrier();
  let sum = terms[0];
  workgroupBarrier();                                                   // all have read it before another call writes
  return sum;
}
