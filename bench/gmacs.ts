// What the arithmetic of a plan is, as papers count it.
import type { Plan } from '../engine/plan.ts';

/** Norms, pooling, tokens and what stands on single channels are left out, as in the published figures. */
const counted: ReadonlySet<string> = new Set(['linear', 'patchEmbed', 'attention', 'frameConv', 'depthwise']);

/** Billions of multiply-adds, which papers often call GFLOPs: of matrix products, attention and convolutions. */
export function gmacsOf({ commands }: Plan): number {
  const flops = commands.map((command) =>
    command.kind === 'dispatch' && counted.has(command.operator) ? command.flops : 0,
  );
  return flops.reduce((sum, count) => sum + count, 0) / 2 / 1e9;
}
