// X3D in plain loops and double precision, from a checkpoint as it is: BatchNorm is a step of its own.
import type { TensorSource } from '../../engine/weights.ts';
import type { X3dConfig } from '../../model/x3d-config.ts';
import * as reference from '../reference.ts';
import * as convolutions from '../reference-convolutions.ts';

type Numbers = ArrayLike<number>;

/** Rows of channels, [V, T, H, W, C]. */
interface Activation {
  readonly data: Numbers;
  readonly extent: convolutions.Extent;
}

/** `frames` [V, 3, F, S, S] -> `logits` [V, classes], and what each block gives, by module path, channels last. */
export async function x3dReference(
  config: X3dConfig,
  source: TensorSource,
  frames: Numbers,
  videos: number,
): Promise<Map<string, Numbers>> {
  const { imageSize, frames: count, stages, pooled, projected, classes, window, epsilon } = config;
  const outputs = new Map<string, Numbers>();
  const weight = (path: string) => source.read(`${path}.weight`);
  const map = ({ data, extent }: Activation, apply: (x: number, channel: number) => number): Activation => ({
    data: Float64Array.from(data, (x, i) => apply(x, i % extent[4])),
    extent,
  });
  const relu = (x: Activation) => map(x, reference.activations.relu);
  const batchNorm = async (x: Activation, path: string) => {
    const [gain, bias] = [await weight(path), await source.read(`${path}.bias`)];
    const [mean, variance] = [await source.read(`${path}.running_mean`), await source.read(`${path}.running_var`)];
    return map(x, (value, c) => ((value - mean[c]) / Math.sqrt(variance[c] + epsilon)) * gain[c] + bias[c]);
  };
  const pointwise = async ({ data, extent }: Activation, path: string, stride = 1): Promise<Activation> => {
    const [, frameCount, height, width, k] = extent;
    const rows = convolutions.choosePixels(data, extent, { stride, start: 0, count: frameCount });
    const factors = await weight(path);
    const shape = [extent[0], frameCount, Math.ceil(height / stride), Math.ceil(width / stride)] as const;
    return { data: reference.linear(rows, factors, { k }), extent: [...shape, factors.length / k] };
  };
  const depthwise = async (
    { data, extent }: Activation,
    path: string,
    { kernel, stride }: { kernel: readonly [number, number, number]; stride: number },
  ): Promise<Activation> => {
    const [v, t, h, w, c] = extent;
    const none = new Float32Array(c);
    const sums = convolutions.depthwise(data, await weight(path), none, { extent, kernel, stride });
    return { data: sums, extent: [v, t, Math.ceil(h / stride), Math.ceil(w / stride), c] };
  };
  const pool = ({ data, extent }: Activation, sizes: readonly [number, number, number]): Activation => {
    const [v, t, h, w, c] = extent;
    const [kt, kh, kw] = sizes;
    return {
      data: convolutions.averagePool(data, { extent, window: sizes }),
      extent: [v, t - kt + 1, h - kh + 1, w - kw + 1, c],
    };
  };
  const squeezeExcite = async (x: Activation, path: string) => {
    const [, frameCount, height, width, channels] = x.extent;
    const gate = convolutions.squeezeExcite(
      pool(x, [1, height, width]).data,
      await weight(`${path}.0`),
      await source.read(`${path}.0.bias`),
      await weight(`${path}.2`),
      await source.read(`${path}.2.bias`),
      { frames: frameCount },
    );
    const perVideo = x.data.length / videos;
    const scaled = Float64Array.from(x.data, (v, i) => v * gate[Math.floor(i / perVideo) * channels + (i % channels)]);
    return { data: scaled, extent: x.extent };
  };

  const stem = convolutions.frameConv(frames, await weight('blocks.0.conv.conv_t'), {
    extent: [videos, 3, count, imageSize],
    kernel: 3,
    stride: 2,
    mean: 0.45,
    deviation: 0.225,
  });
  const half = Math.ceil(imageSize / 2);
  let x: Activation = { data: stem, extent: [videos, count, half, half, config.stem] };
  x = await depthwise(x, 'blocks.0.conv.conv_xy', { kernel: [5, 1, 1], stride: 1 });
  x = relu(await batchNorm(x, 'blocks.0.norm'));
  outputs.set('blocks.0', x.data);
  for (const [i, { blocks }] of stages.entries()) {
    for (let block = 0; block < blocks; block++) {
      const path = `blocks.${i + 1}.res_blocks.${block}`;
      const branch = `${path}.branch2`;
      const stride = block === 0 ? 2 : 1;
      let shortcut = x;
      if (block === 0) {
        shortcut = await pointwise(x, `${path}.branch1_conv`, stride);
        const hasNorm = source.tensors.has(`${path}.branch1_norm.weight`);
        if (hasNorm) shortcut = await batchNorm(shortcut, `${path}.branch1_norm`);
      }
      let inner = relu(await batchNorm(await pointwise(x, `${branch}.conv_a`), `${branch}.norm_a`));
      inner = await depthwise(inner, `${branch}.conv_b`, { kernel: [3, 3, 3], stride });
      inner = await batchNorm(inner, `${branch}.norm_b.0`);
      if (block % 2 === 0) inner = await squeezeExcite(inner, `${branch}.norm_b.1.block`);
      inner = map(inner, reference.activations.swish);
      inner = await batchNorm(await pointwise(inner, `${branch}.conv_c`), `${branch}.norm_c`);
      x = relu({ data: reference.add(inner.data, shortcut.data), extent: inner.extent });
      outputs.set(path, x.data);
    }
    outputs.set(`blocks.${i + 1}`, x.data);
  }
  x = relu(await batchNorm(await pointwise(x, 'blocks.5.pool.pre_conv'), 'blocks.5.pool.pre_norm'));
  expectChannels(x, pooled);
  x = relu(await pointwise(pool(x, [count, window, window]), 'blocks.5.pool.post_conv'));
  expectChannels(x, projected);
  const bias = await source.read('blocks.5.proj.bias');
  const scores = { data: reference.linear(x.data, await weight('blocks.5.proj'), { k: projected, bias }) };
  const [, , height, width] = x.extent;
  const places = pool({ ...scores, extent: [videos, 1, height, width, classes] }, [1, height, width]);
  return outputs.set('logits', places.data);
}

function expectChannels({ extent }: Activation, channels: number): void {
  if (extent[4] !== channels) throw new Error(`${extent[4]} channels, expected ${channels}`);
}
