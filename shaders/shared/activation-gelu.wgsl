// GELU(x) = x Phi(x) in its exact form, written as max(x, 0) - |x|/2 erfc(|x|/sqrt 2), which cancels nowhere.
// erfc(t) = exp(-t S(t)); S is a polynomial fitted to -ln(erfc t)/t on [0, 5] for the least absolute error of the whole:
// 8e-8 relative to max(1, |x|) in f32 arithmetic. Beyond, S keeps growing, so that erfc falls to zero as it should.
fn activation(x: vec4f) -> vec4f {
  let t = abs(x) * 0.70710678;
  var s = vec4f(2.1093806e-5);
  s = fma(s, t, vec4f(-2.2001752e-4));
  s = fma(s, t, vec4f(7.2901818e-4));
  s = fma(s, t, vec4f(1.0668620e-3));
  s = fma(s, t, vec4f(-2.0088617e-2));
  s = fma(s, t, vec4f(1.0317731e-1));
  s = fma(s, t, vec4f(6.3653386e-1));
  s = fma(s, t, vec4f(1.1283860));
  return max(x, vec4f(0)) - 0.5 * abs(x) * exp(-t * s);
}
