// output[r] = (x - mean x) / sqrt(var x + EPSILON) * weight + bias   for x = input[r * STRIDE]
//
// One workgroup = one row, which its invocations hold in registers: the variance is the mean of squared differences from the mean,
// which loses no digits where the mean is large. STRIDE > 1 normalises only every STRIDE-th row (the class tokens).
// #import storage
// #import unit
// #import reduce

struct Params {
  rows: u32,                                                            // R
  first_row: u32,                                                       // where this part begins in the output
}
@group(0) @binding(0) var<storage, read> input: array<Unit>;            // [R * STRIDE, C]
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;          // [C]
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;            // [C]
@group(0) @binding(3) var<storage, read_write> output: array<Quad>;     // [R, C]
@group(0) @binding(4) var<uniform> params: Params;

/// Which of a quad's elements are no padding.
fn present(quad: u32) -> vec4<bool> { return vec4u(quad * 4) + vec4u(0, 1, 2, 3) < vec4u(LENGTH); }

@compute @workgroup_size(LANES)
// #import subgroup
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) workgroups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = workgroup.y * workgroups.x + workgroup.x;
  let source = min(row, params.rows - 1) * STRIDE * (QUADS / UNIT);
  var x: array<vec4f, PER_LANE * UNIT>;
  var partial = vec4f(0);
  for (var i = 0u; i < PER_LANE; i++) {
    let unit = i * LANES + lane;
    let loaded = load_unit(input[source + min(unit, QUADS / UNIT - 1)]);
    // #unroll
    for (var u = 0u; u < UNIT; u++) {
      x[i * UNIT + u] = select(vec4f(0), loaded[u], unit < QUADS / UNIT); // padding is zero and adds nothing
      partial += x[i * UNIT + u];
    }
  }
  let mean = workgroup_sum(dot(partial, vec4f(1)), lane) / LENGTH;
  partial = vec4f(0);
  for (var i = 0u; i < PER_LANE; i++) {
    // #unroll
    for (var u = 0u; u < UNIT; u++) {
      let difference = select(vec4f(0), x[i * UNIT + u] - mean, present((i * LANES + lane) * UNIT + u));
      x[i * UNIT + u] = difference;
      partial = fma(difference, difference, partial);
    }
  }
  let scale = inverseSqrt(workgroup_sum(dot(partial, vec4f(1)), lane) / LENGTH + EPSILON);
  if (row >= params.rows) { return; }
  for (var i = 0u; i < PER_LANE; i++) {
    // #unroll
    for (var u = 0u; u < UNIT; u++) {
      let quad = (i * LANES + lane) * UNIT + u;
      if (quad < QUADS) {
        output[(params.first_row + row) * QUADS + quad] = store_quad(fma(x[i * UNIT + u] * scale, weight[quad], bias[quad]));
      }
    }
  }
}
