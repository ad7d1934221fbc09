// gate[v] = sigmoid(expand relu(squeeze mean[v] + squeeze_bias) + expand_bias), where mean[v] is that of T rows of means
//
// One workgroup = one video: all of it is a few thousand multiply-adds. Each invocation has whole channels of either layer.
// Needs no feature.

/// Bounds of loops that no compiler shall write out; constants otherwise.
struct Params {
  frames: u32,                                                          // T
  quads: u32,                                                           // of C
  hidden_quads: u32,                                                    // of R
}
@group(0) @binding(0) var<storage, read> means: array<vec4f>;           // [V, T, C]
@group(0) @binding(1) var<storage, read> squeeze: array<vec4f>;         // [R, C]
@group(0) @binding(2) var<storage, read> squeeze_bias: array<f32>;      // [R]
@group(0) @binding(3) var<storage, read> expand: array<vec4f>;          // [C, R]
@group(0) @binding(4) var<storage, read> expand_bias: array<vec4f>;     // [C]
@group(0) @binding(5) var<storage, read_write> gate: array<vec4f>;      // [V, C]
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> mean: array<vec4f, QUADS>;                               // [C]
var<workgroup> hidden: array<vec4f, HIDDEN_QUADS>;                      // [R]

fn hidden_at(channel: u32) -> f32 {
  let known = min(channel, HIDDEN - 1);
  var sum = squeeze_bias[known];
  for (var i = 0u; i < params.quads; i++) { sum += dot(squeeze[known * QUADS + i], mean[i]); }
  return select(0, max(sum, 0), channel < HIDDEN);
}

fn gate_at(channel: u32) -> f32 {
  let known = min(channel, CHANNELS - 1);
  var sum = 0.0;
  for (var i = 0u; i < params.hidden_quads; i++) { sum += dot(expand[known * HIDDEN_QUADS + i], hidden[i]); }
  return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var quad = lane; quad < QUADS; quad += 64) {
    var sum = vec4f(0);
    for (var t = 0u; t < params.frames; t++) { sum += means[(workgroup.x * params.frames + t) * QUADS + quad]; }
    mean[quad] = sum / f32(params.frames);
  }
  workgroupBarrier();
  for (var quad = lane; quad < HIDDEN_QUADS; quad += 64) {
    let first = quad * 4;
    hidden[quad] = vec4f(hidden_at(first), hidden_at(first + 1), hidden_at(first + 2), hidden_at(first + 3));
  }
  workgroupBarrier();
  for (var quad = lane; quad < QUADS; quad += 64) {
    let first = quad * 4;
    let sum = vec4f(gate_at(first), gate_at(first + 1), gate_at(first + 2), gate_at(first + 3)) + expand_bias[quad];
    // padding is zero, as in all rows
    let present = vec4u(first) + vec4u(0, 1, 2, 3) < vec4u(CHANNELS);
    gate[workgroup.x * QUADS + quad] = select(vec4f(0), 1 / (1 + exp(-max(sum, vec4f(-80)))), present);
  }
}
