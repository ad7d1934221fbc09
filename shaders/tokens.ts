// assembleTokens: a class token before each sequence, and positions.
import type { Graph, Value } from '../engine/graph.ts';
import { linearGrid } from '../engine/kernel.ts';
import { elementCount, quads } from '../engine/shape.ts';
import { assembleTokensRow } from './definitions.ts';
import { expectTensor } from './expect.ts';
import { storageOf } from './storage.ts';
import source from './tokens.wgsl';

/** What assembleTokens() takes beside its input. */
export interface TokensOptions {
  readonly name: string;
  /** [C] in f32. */
  readonly classToken: Value;
  /** [T, C] in f32. */
  readonly positions: Value;
}

/**
 * concat(classToken, input) + positions: [B, T - 1, C] -> [B, T, C]. Throws shape-mismatch for a tensor of another shape, storage type or
 * layout.
 */
export function assembleTokens(graph: Graph, input: Value, { name, classToken, positions }: TokensOptions): Value {
  const [sequences, before, channels] = input.shape;
  const shape = [sequences, before + 1, channels];
  expectTensor(name, input, [sequences, before, channels]);
  expectTensor(name, classToken, [channels], 'f32');
  expectTensor(name, positions, [before + 1, channels], 'f32');
  const output = graph.activation(name, shape, input.storage);
  const count = sequences * (before + 1) * quads(channels);
  graph.add({
    name,
    operator: 'assembleTokens',
    inputs: { input, class_token: classToken, positions },
    outputs: { output },
    flops: elementCount(shape),
    candidates: (capabilities) => {
      const storage = storageOf(input.storage, capabilities);
      return [
        {
          name: 'tokens',
          variant: `${storage.label} ${before + 1}x${channels}`,
          source,
          imports: { storage: storage.text },
          constants: { QUADS: quads(channels), TOKENS: before + 1 },
          params: { count },
          workgroups: linearGrid(Math.ceil(count / 64)),
          features: storage.features,
        },
      ];
    },
    check: {
      shapes: { input: [Math.min(sequences, 2), before, channels] },
      build: (small, operands) =>
        assembleTokens(small, operands['input'], {
          name,
          classToken: operands['class_token'],
          positions: operands['positions'],
        }),
      row: assembleTokensRow(before + 1, channels),
    },
  });
  return output;
}
