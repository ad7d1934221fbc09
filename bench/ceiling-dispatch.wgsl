// One lane that writes one number: what is left of a dispatch's time when nothing is computed.

@group(0) @binding(0) var<storage, read_write> output: array<f32>;      // [1]

@compute @workgroup_size(1)
fn main() {
  output[0] = 1;
}
