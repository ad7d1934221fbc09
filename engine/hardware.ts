// What WebGPU does not tell of a GPU and kernels are chosen by: guesses by vendor, which the tuner corrects by trying.

/** As much of an adapter's description as is needed. */
interface Maker {
  readonly vendor: string;
  readonly software: boolean;
}

/** GPUs whose lanes may fill 255 registers, which is what every kernel here was written for at first. */
const large: ReadonlySet<string> = new Set(['amd', 'nvidia']);

/**
 * The registers of 32 bits that a lane can fill: 64 are what Intel's have at 16 lanes a thread, and what leaves Apple's three quarters of
 * their lanes. Infinity where there are enough for all kernels: on large GPUs, and on processors, which keep the rest in their caches.
 */
export function laneRegistersOf({ vendor, software }: Maker): number {
  return software || large.has(vendor) ? Number.POSITIVE_INFINITY : 64;
}

/** How many units run workgroups at the same time: multiprocessors, compute units, Xe cores, GPU cores. The tuner counts them. */
export function unitsOf({ vendor, software }: Maker): number {
  return !software && large.has(vendor) ? 128 : 16;
}
