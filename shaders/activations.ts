// The functions that operators apply to their sums.
import gelu from './shared/activation-gelu.wgsl';
import identity from './shared/activation-none.wgsl';
import relu from './shared/activation-relu.wgsl';
import ofSwish from './shared/activation-swish.wgsl';
import swish from './shared/swish.wgsl';

/** A function that an operator applies to its sums; 'gelu' is the exact one, by erf, and 'swish' is x sigmoid(x). */
export type Activation = 'none' | 'gelu' | 'relu' | 'swish';

const texts: Readonly<Record<Activation, string>> = { none: identity, gelu, relu, swish: ofSwish };

/** The import `activation`, and what it imports. */
export function activationImports(activation: Activation): Readonly<Record<string, string>> {
  return { activation: texts[activation], ...(activation === 'swish' && { swish }) };
}
