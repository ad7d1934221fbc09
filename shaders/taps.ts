// The layout in which convolutions other than matmuls read their weight.
import type { Layout } from '../engine/layout.ts';
import { newArray } from '../engine/layout.ts';
import { elementCount, quads } from '../engine/shape.ts';

/**
 * PyTorch's [C, 1, kT, kH, kW] of a depthwise convolution, or [C, I, kH, kW] of an ordinary one, transposed: [taps, C], rows padded to
 * whole quads, so that a quad of channels reads its weights as quads.
 */
export const tapLayout: Layout = {
  name: 'taps',
  elements: ([channels, ...taps]) => elementCount(taps) * quads(channels) * 4,
  pack(data, [channels, ...rest], allocate = newArray) {
    const taps = elementCount(rest);
    const pitch = quads(channels) * 4;
    const packed = allocate(taps * pitch);
    for (let channel = 0; channel < channels; channel++) {
      for (let tap = 0; tap < taps; tap++) packed[tap * pitch + channel] = data[channel * taps + tap];
    }
    return packed;
  },
};
