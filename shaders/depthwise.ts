// depthwise: a convolution over frames, lines and columns in which each channel has a filter of its own.
import type { Capabilities } from '../engine/device.ts';
import type { Graph, Value } from '../engine/graph.ts';
import type { Kernel } from '../engine/kernel.ts';
import { linearGrid } from '../engine/kernel.ts';
import { elementCount, quads } from '../engine/shape.ts';
import type { Activation } from './activations.ts';
import { activationImports } from './activations.ts';
import { depthwiseRow } from './convolution-definitions.ts';
import quadSource from './depthwise.wgsl';
import { expectTensor } from './expect.ts';
import type { FrameRange } from './frame-range.ts';
import { depthwiseChannel } from './gpu-families.ts';
import biasAdd from './shared/bias-add.wgsl';
import biasNone from './shared/bias-none.wgsl';
import componentF16 from './shared/component-f16.wgsl';
import componentF32 from './shared/component-f32.wgsl';
import type { Storage } from './storage.ts';
import { storageOf } from './storage.ts';
import { tapLayout } from './taps.ts';

/** What depthwise() takes beside its input. */
export interface DepthwiseOptions {
  readonly name: string;
  /** [C, 1, kT, kH, kW] in f32, in tapLayout; odd sizes. */
  readonly weight: Value;
  /** [C] in f32. */
  readonly bias?: Value | undefined;
  readonly activation?: Activation;
  /** Of lines and columns; 1 by default. Frames are never skipped. */
  readonly stride?: number;
  /**
   * Makes only frames `make` of the result `into`, [1, T, H', W', C], from an input that holds frames `held` of T: those of `make` and the
   * (kT - 1) / 2 before and after them, as far as there are such.
   */
  readonly window?: { readonly into: Value; readonly make: FrameRange; readonly held: FrameRange } | undefined;
}

/**
 * Lines, columns, frames and channels of an invocation: more of them make more of each load, fewer make more invocations. Each channel
 * has its filter in registers.
 */
interface Tile {
  readonly lines: number;
  readonly columns: number;
  readonly frames: number;
  readonly channels: 4 | 1;
}

/** Invocations that keep a large GPU busy. */
const busyInvocations = 2 ** 16;

/**
 * activation(convolution of each channel with its own filter + bias), zeros around the input: [V, T, H, W, C] -> [V, T, H', W', C], where
 * H' = ceil(H / stride). Throws shape-mismatch for a tensor of another shape, storage type or layout.
 */
export function depthwise(graph: Graph, input: Value, options: DepthwiseOptions): Value {
  const { name, weight, bias, activation = 'none', stride = 1, window } = options;
  const [videos, held, height, width, channels] = input.shape;
  const kernel = [2, 3, 4].map((dimension) => weight.shape[dimension] | 1); // odd sizes
  expectTensor(name, input, [window ? 1 : videos, window?.held.count ?? held, height, width, channels]);
  expectTensor(name, weight, [channels, 1, ...kernel], 'f32', tapLayout);
  if (bias) expectTensor(name, bias, [channels], 'f32');
  const frames = window?.into.shape[1] ?? held;
  const shape = [videos, frames, Math.ceil(height / stride), Math.ceil(width / stride), channels];
  if (window) expectTensor(name, window.into, shape, input.storage);
  const output = window?.into ?? graph.activation(name, shape, input.storage);
  const make = window?.make ?? { start: 0, count: frames };
  const problem: Depthwise = {
    kernel,
    stride,
    shape,
    height,
    width,
    make,
    held: window?.held ?? { start: 0, count: frames },
    label: [bias ? 'bias' : '', activation === 'none' ? '' : activation].filter(Boolean).join(' '),
    imports: { bias: bias ? biasAdd : biasNone, ...activationImports(activation) },
  };
  const small = [1, Math.min(held, 7), Math.min(height, 11), Math.min(width, 11), channels];
  graph.add({
    name,
    operator: 'depthwise',
    inputs: { input, weight, ...(bias && { bias }) },
    outputs: { output },
    flops: (2 * elementCount(kernel) * elementCount(shape) * make.count) / frames,
    candidates: (capabilities) => kernels(capabilities, input, problem),
    check: {
      shapes: { input: small },
      build: (graph, operands) => depthwise(graph, operands['input'], { ...options, ...operands, window: undefined }),
      row: depthwiseRow(small, kernel, { stride, activation }),
      own: {
        row: depthwiseRow([shape[0], frames, height, width, channels], kernel, {
          stride,
          activation,
          firstHeld: problem.held.start,
        }),
        rows: { first: make.start * shape[2] * shape[3], count: videos * make.count * shape[2] * shape[3] },
      },
    },
  });
  return output;
}

interface Depthwise {
  /** kT, kH, kW */
  readonly kernel: readonly number[];
  readonly stride: number;
  /** Of the whole result. */
  readonly shape: readonly number[];
  readonly height: number;
  readonly width: number;
  readonly make: FrameRange;
  readonly held: FrameRange;
  readonly label: string;
  readonly imports: Readonly<Record<string, string>>;
}

/** Every kernel that can run it on such a device, best guess first. */
function kernels(capabilities: Capabilities, input: Value, problem: Depthwise): Kernel[] {
  const storage = storageOf(input.storage, capabilities);
  const kernel = (tile: Tile) => kernelOf(tile, quadSource, problem, storage);
  if (capabilities.adapter.software) {
    const tile = { lines: 1, columns: 4, frames: 16, channels: 4 } as const;
    const [flat, tall, short] = [tile, { ...tile, lines: 2 }, { ...tile, frames: 4 }];
    // two lines of filters three lines high share half of what they load; at a stride of two, a fifth, not worth the time to compile
    const shares = problem.stride === 1 && problem.kernel[1] > 1;
    return (shares ? [tall, flat, short] : [flat, tall, short]).map(kernel);
  }
  // what a GPU has registers for: at a stride of two, four columns touch nine of the input
  const byQuad = tilesOf({ columns: problem.stride === 1 ? 4 : 2, channels: 4 }, problem);
  // and one that has 64 for an invocation
  const channelSource = depthwiseChannel();
  if (channelSource === undefined || !canGoByChannel(storage, problem)) return byQuad.map(kernel);
  const byChannel = tilesOf({ columns: 2, channels: 1 }, problem);
  return [...byQuad.map(kernel), ...byChannel.map((tile) => kernelOf(tile, channelSource, problem, storage))];
}

/** Not where halves are packed, for an invocation cannot write half a word, nor where lines and columns are more than the bits of one. */
function canGoByChannel({ label }: Storage, { kernel: [, height, width], stride }: Depthwise): boolean {
  return label !== 'packed' && stride + width + height + 2 <= 32;
}

/** Through many frames where that leaves enough invocations, then through few; else the other way round. */
function tilesOf(tile: Pick<Tile, 'columns' | 'channels'>, problem: Depthwise): Tile[] {
  const [long, short] = [16, 4].map((frames) => ({ lines: 1, frames, ...tile }));
  return invocationsOf(long, problem) >= busyInvocations ? [long, short] : [short, long];
}

function invocationsOf({ lines, columns, frames, channels }: Tile, { shape, make }: Depthwise): number {
  const [videos, , height, width, allChannels] = shape;
  const blocks = Math.ceil(height / lines) * Math.ceil(width / columns);
  return videos * Math.ceil(make.count / frames) * blocks * quads(allChannels) * (4 / channels);
}

function kernelOf(tile: Tile, source: string, problem: Depthwise, storage: Storage): Kernel {
  const { kernel, stride, shape, height, width, make, held, label } = problem;
  const [, frames, outHeight, outWidth, channels] = shape;
  const [kt, kh, kw] = kernel;
  const { lines, columns, frames: partFrames } = tile;
  const byQuad = tile.channels === 4;
  // lines and columns of the input that those of the output touch
  const [lineSpan, span] = [(lines - 1) * stride + kh, (columns - 1) * stride + kw];
  const size = `${lines}x${columns} in ${partFrames}`;
  const count = invocationsOf(tile, problem);
  return {
    name: byQuad ? 'depthwise' : 'depthwise-channel',
    tile: size,
    variant: `${size} ${storage.label} ${kt}x${kh}x${kw}${stride > 1 ? ` every ${stride}` : ''} ${label}`.trim(),
    source,
    imports: {
      ...problem.imports,
      ...(byQuad ? { storage: storage.text } : { component: storage.label === 'f16' ? componentF16 : componentF32 }),
    },
    constants: {
      KT: kt,
      KH: kh,
      KW: kw,
      TAPS: kt * kh * kw,
      PAD_BEFORE: (kt - 1) / 2,
      PAD_DOWN: (kh - 1) / 2,
      PAD_ACROSS: (kw - 1) / 2,
      STRIDE: stride,
      COLUMNS: columns,
      FRAMES: partFrames,
      SPAN: span,
      SUMS: kt * lines * columns,
      OLDER: (kt - 1) * lines * columns,
      ...(byQuad && { LINES: lines, LINE_SPAN: lineSpan, PIXELS: lineSpan * span }),
    },
    params: {
      count,
      steps: Math.min(partFrames, make.count) + kt - 1,
      frames,
      first_frame: make.start,
      end_frame: make.start + make.count,
      input_first: held.start,
      input_frames: held.count,
      height,
      width,
      out_height: outHeight,
      out_width: outWidth,
      quads: quads(channels),
      ...(!byQuad && { last: shape[0] * held.count * height * width * quads(channels) * 4 - 1 }),
    },
    workgroups: linearGrid(Math.ceil(count / 64)),
    features: storage.features,
  };
}
