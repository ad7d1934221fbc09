// The texts of kernels, each written out once: the layers of a network repeat them, and so do its plans.
import type { Kernel } from './kernel.ts';
import { kernelLabel } from './kernel.ts';
import type { ResolvedKernel } from './wgsl.ts';
import { resolveKernel } from './wgsl.ts';

export class KernelTexts {
  /** By what is short of a kernel. */
  readonly #known = new Map<string, { readonly kernel: Kernel; readonly resolved: ResolvedKernel }>();

  /** resolveKernel(), which takes long, for a kernel that is not known yet: the same object for all whose text is the same. */
  readonly resolve = (kernel: Kernel): ResolvedKernel => {
    const key = keyOf(kernel);
    const known = this.#known.get(key);
    if (known && isSameText(known.kernel, kernel)) return known.resolved;
    const resolved = resolveKernel(kernel);
    this.#known.set(key, { kernel, resolved });
    return resolved;
  };

  /** Lets go of a kernel's text and returns it, if it was known. */
  forget(kernel: Kernel): ResolvedKernel | undefined {
    const key = keyOf(kernel);
    const known = this.#known.get(key);
    this.#known.delete(key);
    return known?.resolved;
  }
}

function keyOf(kernel: Kernel): string {
  const { constants, features, imports } = kernel;
  return kernelLabel(kernel) + JSON.stringify([constants, features, Object.keys(imports)]);
}

/** Whether kernels with the same key are made of the same texts. */
function isSameText(a: Kernel, b: Kernel): boolean {
  return a.source === b.source && Object.entries(a.imports).every(([name, text]) => text === b.imports[name]);
}
