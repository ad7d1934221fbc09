// How many units a GPU has, found by timing: workgroups that each keep a unit busy take one wave of time until they are more than the
// units, and two from then on.
import { BoundKernel } from './bound-kernel.ts';
import type { Clock } from './clock.ts';
import { nextRepeats } from './clock.ts';
import type { Capabilities, Device } from './device.ts';
import { StamError, throwIfAborted } from './errors.ts';
import type { Kernel } from './kernel.ts';
import type { PassTimer } from './pass-timer.ts';

/** Milliseconds that `repeats` dispatches of so many workgroups take in one pass, one after another; 0 where the clock is too coarse to tell. */
export type TimeWorkgroups = (workgroups: number, repeats: number) => Promise<number>;

/** A pass need not be longer, whatever the clock: one wave is to be told from two, not kernels that differ by a hundredth. */
const longestPassMs = 7;
/** Workgroups that a first estimate begins with, and by which factor it goes on. */
const firstWorkgroups = 16;
const growth = 4;
/** Waves that a first estimate wants. */
const severalWaves = 6;
/** No GPU has as many units as would run these in fewer waves than that. */
const mostWorkgroups = 2 ** 14;
/** Times that are this much of a wave's or more are those of several. */
const moreThanOne = 1.5;
/** What counts as about twice the time. A GPU's clock may be lower when all of its units are busy. */
const leastTwice = 1.6;
const mostTwice = 2.4;

/**
 * How many workgroups run at full speed at the same time. A time T(n) of n workgroups is ceil(n / units) T(1), as hardware spreads
 * workgroups over idle units first; a first estimate comes from several waves, and the largest n of one wave is looked for between half of
 * it and twice it. Each T(n) is compared with a T(1) right before it, so that a clock that rises meanwhile does not count. Undefined where
 * the times are no such steps. Throws what `time` throws, and the signal's reason.
 */
export async function countUnits(
  time: TimeWorkgroups,
  clock: Clock,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const repeats = await repeatsOfOne(time, clock, signal);
  /** T(n) / T(1), which is about `waves`: passes of more waves have fewer dispatches. */
  const wavesOf = async (workgroups: number, waves = 1): Promise<number> => {
    throwIfAborted(signal);
    const fewer = Math.max(1, Math.round(repeats / waves));
    const one = (await time(1, repeats)) / repeats;
    return (await time(workgroups, fewer)) / fewer / one;
  };
  const estimate = await estimateUnits(wavesOf);
  if (estimate === undefined) return undefined;
  let units = Math.floor(estimate / 2);
  let tooMany = Math.ceil(estimate * 2) + 1;
  while (tooMany - units > 1) {
    const middle = Math.floor((units + tooMany) / 2);
    if ((await wavesOf(middle, 1.5)) < moreThanOne) units = middle;
    else tooMany = middle;
  }
  if (units < 1) return undefined;
  const wave = await wavesOf(units);
  const isTwice = (waves: number) => waves > leastTwice * wave && waves < mostTwice * wave;
  const isStep = wave < moreThanOne && isTwice(await wavesOf(units + 1, 2)) && isTwice(await wavesOf(2 * units, 2));
  return isStep ? units : undefined;
}

/** How many dispatches of one workgroup make a pass that is long enough. */
async function repeatsOfOne(time: TimeWorkgroups, clock: Clock, signal: AbortSignal | undefined): Promise<number> {
  for (let repeats = 1; ; ) {
    throwIfAborted(signal);
    const ms = await time(1, repeats);
    const next = nextRepeats(ms, repeats, Math.min(clock.leastMs, longestPassMs));
    if (next === repeats) return repeats;
    repeats = next;
  }
}

/** By so many workgroups that they take several waves; undefined where no number of them does. */
async function estimateUnits(
  wavesOf: (workgroups: number, waves: number) => Promise<number>,
): Promise<number | undefined> {
  let waves = 1;
  for (let workgroups = firstWorkgroups; workgroups <= mostWorkgroups; workgroups *= growth) {
    // these take as long as the last ones or `growth` times as long: the passes are meant for what lies between
    waves = await wavesOf(workgroups, waves * Math.sqrt(growth));
    if (!Number.isFinite(waves)) return undefined;
    if (waves >= severalWaves) return workgroups / waves;
  }
  return undefined;
}

/** Invocations of a workgroup that keep a unit busy, on devices that allow so many. */
const mostInvocations = 1024;
/** Of the kernel's loop: one workgroup takes about a tenth of a millisecond on a GPU, far more than a dispatch costs. */
const turns = 192;

/**
 * Multiply-adds in registers: eight chains an invocation, so that no unit waits for the last one's result. Uniforms say how many there are,
 * so that no compiler writes out what comes of them; and sums of positive numbers are never stored, which no compiler can know. As they
 * might be, dispatches come one after another.
 */
const source = `
struct Params {
  turns: u32,
  factor: f32,
  least: f32,
}
@group(0) @binding(0) var<storage, read_write> output: array<f32>;      // [1]
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(local_invocation_index) invocation: u32) {
  var a = vec4f(0, 1, 2, 3) + f32(invocation);
  var b = a + 4;
  for (var turn = 0u; turn < params.turns; turn++) {
    // #unroll
    for (var step = 0; step < 16; step++) {
      a = fma(a, vec4f(params.factor), vec4f(1));
      b = fma(b, vec4f(params.factor), vec4f(1));
    }
  }
  let sum = dot(a + b, vec4f(1));
  if (sum < params.least) { output[0] = sum; }
}
`;

/** One workgroup of multiply-adds, as large as the device allows. */
export function busyKernel({ limits }: Pick<Capabilities, 'limits'>): Kernel {
  return {
    name: 'busy-unit',
    variant: 'f32',
    source,
    imports: {},
    constants: { INVOCATIONS: Math.min(limits.workgroupInvocations, mostInvocations) },
    params: { turns, factor: 0.5, least: -1 },
    workgroups: [1, 1, 1],
    features: [],
  };
}

/** countUnits() on a device. Undefined also where it refuses the kernel. Throws device-lost and the signal's reason. */
export async function measureUnits(
  device: Device,
  timer: PassTimer,
  signal?: AbortSignal,
): Promise<number | undefined> {
  try {
    return await countUnitsOf(device, timer, signal);
  } catch (error) {
    const isRefused = error instanceof StamError && ['out-of-memory', 'limit', 'shader'].includes(error.code);
    if (!isRefused) throw error;
    return undefined;
  }
}

async function countUnitsOf(device: Device, timer: PassTimer, signal: AbortSignal | undefined) {
  const { memory, pipelines } = device;
  const kernel = busyKernel(device.capabilities);
  const output = await device.checked('units', () => memory.create('units', 'staging', 4, GPUBufferUsage.STORAGE));
  try {
    const bound = await BoundKernel.create(device, kernel, 'units', () => output, signal);
    try {
      const time: TimeWorkgroups = (workgroups, repeats) =>
        timer.time((pass) => bound.record(pass, () => [workgroups, 1, 1]), repeats);
      return await countUnits(time, timer.clock, signal);
    } finally {
      bound.dispose();
    }
  } finally {
    memory.destroy(output);
    pipelines.forget(kernel);
  }
}
