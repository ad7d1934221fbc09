// The operators of convolutional networks as their definitions, like reference.ts. Activations are [V, T, H, W, C].
import { activations } from './reference.ts';

type Numbers = ArrayLike<number>;

/** [videos, frames, height, width, channels] */
export type Extent = readonly [number, number, number, number, number];

/** Every `stride`-th line and column of the frames from `start` on: [V, T, H, W, C] -> [V, count, H', W', C] */
export function choosePixels(
  input: Numbers,
  [videos, frames, height, width, channels]: Extent,
  { stride, start, count }: { stride: number; start: number; count: number },
): Float32Array<ArrayBuffer> {
  const chosen: number[] = [];
  for (let v = 0; v < videos; v++) {
    for (let t = start; t < start + count; t++) {
      for (let y = 0; y < height; y += stride) {
        for (let x = 0; x < width; x += stride) {
          for (let c = 0; c < channels; c++) {
            chosen.push(input[(((v * frames + t) * height + y) * width + x) * channels + c]);
          }
        }
      }
    }
  }
  return Float32Array.from(chosen);
}

/** [V, ..., C], [V, C] -> [V, ..., C]: Swish(input * gate) */
export function gated(input: Numbers, gate: Numbers, { videos }: { videos: number }): Float64Array {
  const perVideo = input.length / videos;
  const channels = gate.length / videos;
  return Float64Array.from({ length: input.length }, (_, i) =>
    activations.swish(input[i] * gate[Math.floor(i / perVideo) * channels + (i % channels)]),
  );
}

/** [V, T, H, W, C], [C, 1, kT, kH, kW], [C] -> [V, T, H', W', C] */
export function depthwise(
  input: Numbers,
  weight: Numbers,
  bias: Numbers,
  {
    extent: [videos, frames, height, width, channels],
    kernel: [kt, kh, kw],
    stride = 1,
    activation = 'none',
  }: {
    extent: Extent;
    kernel: readonly [number, number, number];
    stride?: number;
    activation?: keyof typeof activations;
  },
): Float64Array {
  const sums: number[] = [];
  const inside = (at: number, size: number) => at >= 0 && at < size;
  for (let v = 0; v < videos; v++) {
    for (let t = 0; t < frames; t++) {
      for (let y = 0; y < height; y += stride) {
        for (let x = 0; x < width; x += stride) {
          for (let c = 0; c < channels; c++) {
            let sum = bias[c];
            for (let i = 0; i < kt; i++) {
              for (let j = 0; j < kh; j++) {
                for (let k = 0; k < kw; k++) {
                  const [from, line, column] = [t + i - (kt - 1) / 2, y + j - (kh - 1) / 2, x + k - (kw - 1) / 2];
                  if (!inside(from, frames) || !inside(line, height) || !inside(column, width)) continue;
                  const pixel = input[(((v * frames + from) * height + line) * width + column) * channels + c];
                  sum += weight[((c * kt + i) * kh + j) * kw + k] * pixel;
                }
              }
            }
            sums.push(activations[activation](sum));
          }
        }
      }
    }
  }
  return Float64Array.from(sums);
}

/** [V, I, T, S, S], [C, I, 1, k, k] -> [V, T, S', S', C] of (frames - mean) / deviation, zeros around it */
export function frameConv(
  frames: Numbers,
  weight: Numbers,
  {
    extent: [videos, planes, count, size],
    kernel,
    stride,
    mean,
    deviation,
  }: {
    extent: readonly [number, number, number, number];
    kernel: number;
    stride: number;
    mean: number;
    deviation: number;
  },
): Float64Array {
  const channels = weight.length / (planes * kernel * kernel);
  const pad = (kernel - 1) / 2;
  const sums: number[] = [];
  for (let v = 0; v < videos; v++) {
    for (let t = 0; t < count; t++) {
      for (let y = 0; y < size; y += stride) {
        for (let x = 0; x < size; x += stride) {
          for (let c = 0; c < channels; c++) {
            let sum = 0;
            for (let i = 0; i < planes; i++) {
              for (let j = 0; j < kernel; j++) {
                for (let k = 0; k < kernel; k++) {
                  const [line, column] = [y + j - pad, x + k - pad];
                  if (line < 0 || line >= size || column < 0 || column >= size) continue;
                  const pixel = frames[(((v * planes + i) * count + t) * size + line) * size + column];
                  sum += (weight[((c * planes + i) * kernel + j) * kernel + k] * (pixel - mean)) / deviation;
                }
              }
            }
            sums.push(sum);
          }
        }
      }
    }
  }
  return Float64Array.from(sums);
}

/** [V, T, H, W, C] -> [V, T - kT + 1, H - kH + 1, W - kW + 1, C] */
export function averagePool(
  input: Numbers,
  {
    extent: [videos, frames, height, width, channels],
    window: [kt, kh, kw],
  }: { extent: Extent; window: readonly [number, number, number] },
): Float64Array {
  const means: number[] = [];
  for (let v = 0; v < videos; v++) {
    for (let t = 0; t + kt <= frames; t++) {
      for (let y = 0; y + kh <= height; y++) {
        for (let x = 0; x + kw <= width; x++) {
          for (let c = 0; c < channels; c++) {
            let sum = 0;
            for (let i = 0; i < kt; i++) {
              for (let j = 0; j < kh; j++) {
                for (let k = 0; k < kw; k++) {
                  sum += input[(((v * frames + t + i) * height + y + j) * width + x + k) * channels + c];
                }
              }
            }
            means.push(sum / (kt * kh * kw));
          }
        }
      }
    }
  }
  return Float64Array.from(means);
}

/** [V, T, C], [R, C], [R], [C, R], [C] -> [V, C] */
export function squeezeExcite(
  means: Numbers,
  squeeze: Numbers,
  squeezeBias: Numbers,
  expand: Numbers,
  expandBias: Numbers,
  { frames }: { frames: number },
): Float64Array {
  const channels = expandBias.length;
  const hidden = squeezeBias.length;
  const gate: number[] = [];
  for (let v = 0; v < means.length / (frames * channels); v++) {
    const mean = Array.from({ length: channels }, (_, c) => {
      let sum = 0;
      for (let t = 0; t < frames; t++) sum += means[(v * frames + t) * channels + c];
      return sum / frames;
    });
    const inner = Array.from({ length: hidden }, (_, r) => {
      let sum = squeezeBias[r];
      for (let c = 0; c < channels; c++) sum += squeeze[r * channels + c] * mean[c];
      return Math.max(0, sum);
    });
    for (let c = 0; c < channels; c++) {
      let sum = expandBias[c];
      for (let r = 0; r < hidden; r++) sum += expand[c * hidden + r] * inner[r];
      gate.push(1 / (1 + Math.exp(-sum)));
    }
  }
  return Float64Array.from(gate);
}
