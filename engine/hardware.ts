// What WebGPU does not tell of a GPU and kernels are chosen by: guesses by vendor, which the tuner corrects by trying.
import type { AdapterDescription } from './device.ts';

/** GPUs whose lanes may fill 255 registers or 256 and still run many at a time. */
const large: ReadonlySet<string> = new Set(['amd', 'nvidia']);

/**
 * The registers of 32 bits that a lane can fill: 64 are what Intel's have at 16 lanes a thread, and what leaves Apple's three quarters of
 * their lanes. A processor keeps in its caches what its registers do not hold.
 */
export function laneRegistersOf({ vendor, software }: AdapterDescription): number {
  return software ? Number.POSITIVE_INFINITY : large.has(vendor) ? 256 : 64;
}

/** How many units run workgroups at the same time: multiprocessors, compute units, Xe cores, GPU cores. */
export function unitsOf({ vendor, software }: AdapterDescription): number {
  return !software && large.has(vendor) ? 128 : 16;
}
