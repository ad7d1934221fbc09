// squeezeExcite: from the means of channels to what each is multiplied by ("Squeeze-and-Excitation Networks", arXiv 1709.01507).
import type { Graph, Value } from '../engine/graph.ts';
import { quads } from '../engine/shape.ts';
import { squeezeExciteRow } from './convolution-definitions.ts';
import { expectTensor } from './expect.ts';
import source from './squeeze-excite.wgsl';

/** What squeezeExcite() takes beside the means; all in f32. */
export interface SqueezeExciteOptions {
  readonly name: string;
  /** [R, C] */
  readonly squeeze: Value;
  /** [R] */
  readonly squeezeBias: Value;
  /** [C, R] */
  readonly expand: Value;
  /** [C] */
  readonly expandBias: Value;
}

/**
 * sigmoid(expand relu(squeeze mean + squeezeBias) + expandBias), where mean is that of T rows: [V, T, C] in f32 -> [V, C] in f32. Throws
 * shape-mismatch for a tensor of another shape, storage type or layout.
 */
export function squeezeExcite(graph: Graph, means: Value, options: SqueezeExciteOptions): Value {
  const { name, squeeze, squeezeBias, expand, expandBias } = options;
  const [videos, frames, channels] = means.shape;
  const [hidden] = squeeze.shape;
  expectTensor(name, means, [videos, frames, channels], 'f32');
  expectTensor(name, squeeze, [hidden, channels], 'f32');
  expectTensor(name, squeezeBias, [hidden], 'f32');
  expectTensor(name, expand, [channels, hidden], 'f32');
  expectTensor(name, expandBias, [channels], 'f32');
  const gate = graph.activation(name, [videos, channels], 'f32');
  graph.add({
    name,
    operator: 'squeezeExcite',
    inputs: { means, squeeze, squeeze_bias: squeezeBias, expand, expand_bias: expandBias },
    outputs: { gate },
    flops: videos * (frames * channels + 4 * channels * hidden),
    candidates: () => [
      {
        name: 'squeeze-excite',
        variant: `${channels} by ${hidden}`,
        source,
        imports: {},
        constants: {
          QUADS: quads(channels),
          CHANNELS: channels,
          HIDDEN: hidden,
          HIDDEN_QUADS: quads(hidden),
        },
        params: { frames, quads: quads(channels), hidden_quads: quads(hidden) },
        workgroups: [videos, 1, 1],
        features: [],
      },
    ],
    check: {
      shapes: { means: [Math.min(videos, 2), frames, channels] },
      build: (small, operands) =>
        squeezeExcite(small, operands['means'], {
          name,
          squeeze: operands['squeeze'],
          squeezeBias: operands['squeeze_bias'],
          expand: operands['expand'],
          expandBias: operands['expand_bias'],
        }),
      row: squeezeExciteRow(frames, channels, hidden),
    },
  });
  return gate;
}
