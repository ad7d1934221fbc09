// What a lane loads at a time: two quads of f16, which are 16 bytes, as far as memory is wide. Needs no shader-f16.
alias Unit = vec4u;
fn load_unit(unit: Unit) -> array<vec4f, 2> {
  return array(
    vec4f(unpack2x16float(unit.x), unpack2x16float(unit.y)),
    vec4f(unpack2x16float(unit.z), unpack2x16float(unit.w)));
}
