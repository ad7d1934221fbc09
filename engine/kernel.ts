// A kernel as data: WGSL text and what makes this variant of it. The engine compiles and runs it without knowing what it computes.

/** One variant of one WGSL file, ready to be resolved, compiled and dispatched. */
export interface Kernel {
  /** The stem of the WGSL file: the kernel's family. */
  readonly name: string;
  /** What tells this variant from its siblings, for people: `64x64 f16 bias gelu`. */
  readonly variant: string;
  /** Which of the family's tiles it is, named alike for every problem: `64x64`. Left out where there is one only. */
  readonly tile?: string;
  readonly source: string;
  /** The text behind each `// #import NAME` of the source, and of the imported texts themselves. */
  readonly imports: Readonly<Record<string, string>>;
  /** Named constants put before the source: tile sizes, lengths, scales. They specialise the pipeline. */
  readonly constants: Readonly<Record<string, number>>;
  /** Values of the fields of the source's `Params` uniform. They vary without a new pipeline. */
  readonly params: Readonly<Record<string, number>>;
  readonly workgroups: readonly [x: number, y: number, z: number];
  /** Device features that the text needs; each becomes its `enable` line. */
  readonly features: readonly GPUFeatureName[];
  /** Set where the work is cut into parts whose results another kernel puts together, as split-K does with the sums of a matmul. */
  readonly split?: Split;
  /**
   * How many products are accumulated in f16 before they are added to an f32 accumulator: the result's error is at most shortSum 2^-11
   * times the sum of the products' absolute values. Undefined where the accumulators are f32 throughout.
   */
  readonly shortSum?: number;
}

/** What comes after a kernel that leaves partial results. */
export interface Split {
  /** The binding, of both kernels, in which the partial results lie, and its bytes. No node knows of it. */
  readonly scratch: string;
  readonly bytes: number;
  /** Dispatched right after the first one; together they bind all tensors of the node. */
  readonly reduction: Kernel;
}

/** The kernels that a candidate is made of, in the order of their dispatches. */
export function kernelsOf(kernel: Kernel): readonly Kernel[] {
  return kernel.split ? [kernel, kernel.split.reduction] : [kernel];
}

/**
 * So much of a kernel's workgroups along their outermost dimension, which counts rows or sequences, and how much of the work that is. Of
 * a kernel that is split that dimension counts parts, all of which are wanted.
 */
export function partOf(
  { workgroups: [x, y, z], split }: Pick<Kernel, 'workgroups' | 'split'>,
  fraction: number,
): { readonly workgroups: readonly [number, number, number]; readonly fraction: number } {
  const part = (count: number) => Math.max(1, Math.min(count, Math.ceil(count * fraction)));
  if (z > 1 && !split) return { workgroups: [x, y, part(z)], fraction: part(z) / z };
  if (y > 1) return { workgroups: [x, part(y), z], fraction: part(y) / y };
  return { workgroups: [part(x), y, z], fraction: part(x) / x };
}

/** `matmul-tile 64x64 f32 bias` */
export function kernelLabel(kernel: Kernel): string {
  return `${kernel.name} ${kernel.variant}`;
}

/** `matmul-tile 64x64`: a way of computing, named alike for every problem. What is tuned is the way. */
export function wayOf({ name, tile }: Kernel): string {
  return tile === undefined ? name : `${name} ${tile}`;
}

/** WebGPU's default limit, which every adapter has. */
export const maxWorkgroupsPerDimension = 65535;

/** Spreads `count` workgroups over x and y. The kernel counts them as `workgroup_id.x + workgroup_id.y * num_workgroups.x`. */
export function linearGrid(count: number): [x: number, y: number, z: number] {
  const y = Math.ceil(count / maxWorkgroupsPerDimension);
  return [Math.ceil(count / y), y, 1];
}
