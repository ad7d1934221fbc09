// conv2d by patchEmbed: each window of the input, padded and dilated as the case says, is a picture of one patch, and channels that
// are missing to three are zero. So windows may overlap, which the patches of one picture do not.
import { panelLayout, patchEmbed } from '../../shaders/index.ts';
import type { Tensor } from '../conformance.ts';
import { permute } from './arrange.ts';
import type { WptCase } from './cases.ts';
import { floatsOf, inputOf } from './cases.ts';
import type { Part } from './part.ts';
import { tolerances } from './tolerance.ts';

interface Options {
  readonly padding?: readonly [top: number, bottom: number, left: number, right: number];
  readonly strides?: readonly [number, number];
  readonly dilations?: readonly [number, number];
  readonly groups?: number;
  readonly inputLayout?: string;
  readonly filterLayout?: string;
}

/** patchEmbed's. */
const pictureChannels = 3;

/** One part for each group; a reason where patchEmbed cannot. */
export function convolution(test: WptCase): readonly Part[] | string {
  const input = inputOf(test, 'input');
  const filter = inputOf(test, 'filter');
  if (!input || !filter) return 'no input or filter';
  const {
    padding = [0, 0, 0, 0],
    strides = [1, 1],
    dilations = [1, 1],
    groups = 1,
    inputLayout = 'nchw',
    filterLayout = 'oihw',
  } = test.arguments as Options;
  const toNchw = ['n', 'c', 'h', 'w'].map((axis) => inputLayout.indexOf(axis));
  const toOihw = ['o', 'i', 'h', 'w'].map((axis) => filterLayout.indexOf(axis));
  const [pictures, , height, width] = toNchw.map((axis) => input.shape[axis]);
  const [outputs, channels, patch, patchWidth] = toOihw.map((axis) => filter.shape[axis]);
  if (patch !== patchWidth) return 'a filter that is not square';
  if (channels > pictureChannels) return 'more than three channels to a group';

  const pixels = permute(floatsOf(input), input.shape, toNchw);
  const taps = permute(floatsOf(filter), filter.shape, toOihw);
  const bias = inputOf(test, 'bias');
  const biases = bias ? floatsOf(bias) : new Float32Array(outputs);
  const outputToNhwc = ['n', 'h', 'w', 'c'].map((axis) => inputLayout.indexOf(axis));
  const [, down, across] = outputToNhwc.map((axis) => test.output.shape[axis]);
  const expected = permute(floatsOf(test.output), test.output.shape, outputToNhwc);

  const windows = pictures * down * across;
  const patchPixels = patch * patch;
  const pixel = (picture: number, channel: number, y: number, x: number) =>
    y < 0 || y >= height || x < 0 || x >= width
      ? 0
      : pixels[((picture * channels * groups + channel) * height + y) * width + x];
  return Array.from({ length: groups }, (_, group): Part => {
    const own = outputs / groups;
    const frames = new Float32Array(windows * pictureChannels * patchPixels);
    for (let window = 0; window < windows; window++) {
      const picture = Math.floor(window / (down * across));
      const top = (Math.floor(window / across) % down) * strides[0] - padding[0];
      const left = (window % across) * strides[1] - padding[2];
      for (let i = 0; i < channels * patchPixels; i++) {
        const channel = group * channels + Math.floor(i / patchPixels);
        const y = top + (Math.floor(i / patch) % patch) * dilations[0];
        const x = left + (i % patch) * dilations[1];
        frames[window * pictureChannels * patchPixels + i] = pixel(picture, channel, y, x);
      }
    }
    const weight = new Float32Array(own * pictureChannels * patchPixels);
    const length = channels * patchPixels;
    for (let i = 0; i < own * length; i++) {
      weight[Math.floor(i / length) * pictureChannels * patchPixels + (i % length)] = taps[group * own * length + i];
    }
    const operands: Record<string, Tensor> = {
      frames: { shape: [windows, pictureChannels, patch, patch], data: frames, f32: true },
      weight: { shape: [own, pictureChannels, patch, patch], data: weight, layout: panelLayout },
      bias: { shape: [own], data: biases.slice(group * own, (group + 1) * own), f32: true },
    };
    return {
      operator: 'patchEmbed',
      name: test.name,
      operands,
      build: (graph, values, storage) =>
        patchEmbed(graph, values['frames'], {
          name: 'conv2d',
          weight: values['weight'],
          bias: values['bias'],
          storage,
        }),
      expected: expected.filter((__, i) => Math.floor((i % outputs) / own) === group),
      tolerance: tolerances.conv2d(length),
    };
  });
}
