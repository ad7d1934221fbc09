// From channels last, as convolutional networks have their activations here, to PyTorch's order of dimensions.
import type { Shape } from '../engine/shape.ts';
import { elementCount } from '../engine/shape.ts';

/** [V, ..., C] -> [V, C, ...]; what has two dimensions at most stays as it is. */
export function channelsFirstShape(shape: Shape): Shape {
  const [videos, ...rest] = shape;
  const channels = rest.at(-1);
  return channels === undefined ? shape : [videos, channels, ...rest.slice(0, -1)];
}

/** The elements of a tensor [V, ..., C] in the order of [V, C, ...]. */
export function channelsFirst(data: Float32Array<ArrayBuffer>, shape: Shape): Float32Array<ArrayBuffer> {
  const [videos, ...rest] = shape;
  const channels = rest.at(-1) ?? 1;
  const places = elementCount(rest) / channels;
  if (places === 1) return data;
  const turned = new Float32Array(data.length);
  for (let video = 0; video < videos; video++) {
    const start = video * places * channels;
    for (let channel = 0; channel < channels; channel++) {
      for (let place = 0; place < places; place++) {
        turned[start + channel * places + place] = data[start + place * channels + channel];
      }
    }
  }
  return turned;
}
