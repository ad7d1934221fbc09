// What the operators of convolutional networks compute: one row of the result, in plain loops and double precision, as definitions.ts.
import type { Activation } from './activations.ts';
import type { Row } from './definitions.ts';
import { activations } from './definitions.ts';

type Sizes = readonly number[];

/** The place of a row in a tensor [V, T, H, W, C]. */
function placeOf(row: number, [, frames, height, width]: Sizes) {
  const [x, line] = [row % width, Math.floor(row / width)];
  const [y, frame] = [line % height, Math.floor(line / height)];
  return { x, y, t: frame % frames, video: Math.floor(frame / frames) };
}

/**
 * activation(each channel under its own filter [kT, kH, kW] + bias), zeros around: [V, T, H, W, C] -> [V, T, H', W', C]. Of one video the
 * input may hold the frames from `firstHeld` on, as far as they are needed.
 */
export function depthwiseRow(
  input: Sizes,
  kernel: Sizes,
  { stride, activation, firstHeld = 0 }: { stride: number; activation: Activation; firstHeld?: number },
): Row {
  const [videos, frames, height, width, channels] = input;
  const [kt, kh, kw] = kernel;
  const result = [videos, frames, Math.ceil(height / stride), Math.ceil(width / stride)];
  return ({ input: x, weight, bias }, row) => {
    const place = placeOf(row, result);
    const sums = Float64Array.from({ length: channels }, (_, c) => bias?.[c] ?? 0);
    for (let tap = 0; tap < kt * kh * kw; tap++) {
      const t = place.t + Math.floor(tap / (kh * kw)) - (kt - 1) / 2;
      const line = place.y * stride + (Math.floor(tap / kw) % kh) - (kh - 1) / 2;
      const column = place.x * stride + (tap % kw) - (kw - 1) / 2;
      if (t < 0 || line < 0 || column < 0 || t >= frames || line >= height || column >= width) continue;
      const source = (((place.video * frames + t - firstHeld) * height + line) * width + column) * channels;
      for (let c = 0; c < channels; c++) sums[c] += x[source + c] * weight[c * kt * kh * kw + tap];
    }
    return sums.map(activations[activation]);
  };
}

/** Normalised pixels under filters [C, I, 1, k, k], zeros around: [V, I, T, S, S] -> [V, T, S', S', C] */
export function frameConvRow(
  [videos, planes, frames, size]: Sizes,
  [channels, , , , kernel]: Sizes,
  { stride, mean, deviation }: Record<'stride' | 'mean' | 'deviation', number>,
): Row {
  const outSize = Math.ceil(size / stride);
  const taps = planes * kernel * kernel;
  return ({ frames: pixels, weight }, row) => {
    const { x, y, t, video } = placeOf(row, [videos, frames, outSize, outSize]);
    const window = Float64Array.from({ length: taps }, (_, tap) => {
      const plane = Math.floor(tap / (kernel * kernel));
      const line = y * stride + (Math.floor(tap / kernel) % kernel) - (kernel - 1) / 2;
      const column = x * stride + (tap % kernel) - (kernel - 1) / 2;
      if (line < 0 || column < 0 || line >= size || column >= size) return 0;
      return (pixels[(((video * planes + plane) * frames + t) * size + line) * size + column] - mean) / deviation;
    });
    return Float64Array.from({ length: channels }, (_, c) =>
      window.reduce((sum, pixel, tap) => sum + pixel * weight[c * taps + tap], 0),
    );
  };
}

/** Means over windows [kT, kH, kW]: [V, T, H, W, C] -> [V, T - kT + 1, H - kH + 1, W - kW + 1, C] */
export function averagePoolRow([videos, frames, height, width, channels]: Sizes, [kt, kh, kw]: Sizes): Row {
  const result = [videos, frames - kt + 1, height - kh + 1, width - kw + 1];
  return ({ input }, row) => {
    const { x, y, t, video } = placeOf(row, result);
    const sums = new Float64Array(channels);
    for (let i = 0; i < kt * kh * kw; i++) {
      const frame = video * frames + t + Math.floor(i / (kh * kw));
      const source = ((frame * height + y + (Math.floor(i / kw) % kh)) * width + x + (i % kw)) * channels;
      for (let c = 0; c < channels; c++) sums[c] += input[source + c];
    }
    return sums.map((sum) => sum / (kt * kh * kw));
  };
}

/** sigmoid(expand relu(squeeze mean + bias) + bias) of the mean of T rows: [V, T, C], [R, C], [R], [C, R], [C] -> [V, C] */
export function squeezeExciteRow(frames: number, channels: number, hidden: number): Row {
  return ({ means, squeeze, squeeze_bias: squeezeBias, expand, expand_bias: expandBias }, row) => {
    const first = row * frames * channels;
    const mean = Float64Array.from({ length: channels }, (_, c) => {
      let sum = 0;
      for (let t = 0; t < frames; t++) sum += means[first + t * channels + c];
      return sum / frames;
    });
    const squeezed = Float64Array.from({ length: hidden }, (_, r) =>
      Math.max(
        0,
        mean.reduce((sum, x, c) => sum + x * squeeze[r * channels + c], squeezeBias[r]),
      ),
    );
    return Float64Array.from({ length: channels }, (_, c) => {
      const sum = squeezed.reduce((total, x, r) => total + x * expand[c * hidden + r], expandBias[c]);
      return 1 / (1 + Math.exp(-sum));
    });
  };
}
