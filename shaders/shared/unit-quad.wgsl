// What a lane loads at a time: a quad.
alias Unit = Quad;
fn load_unit(unit: Unit) -> array<vec4f, 1> { return array(load_quad(unit)); }
