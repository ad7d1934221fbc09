// The loop over k of the tiles in workgroup memory, as matmul-outer and matmul-halves have it.
import type { Capabilities } from '../engine/device.ts';
import depthCount from './shared/depth-count.wgsl';
import nothing from './shared/nothing.wgsl';

/**
 * What a kernel whose loop counts to DEPTH_COUNT imports, and its constants and params. The loop is unrolled, but not on Intel's GPUs: Mesa's
 * compiler gives every turn of a sum a register of its own there.
 */
export function depthLoop(
  turns: number,
  { adapter }: Capabilities,
): Readonly<{ imports: Record<string, string>; constants: Record<string, number>; params: Record<string, number> }> {
  const isUnrolled = adapter.vendor !== 'intel';
  return {
    imports: { 'depth-count': isUnrolled ? nothing : depthCount },
    constants: isUnrolled ? { DEPTH_COUNT: turns } : {},
    params: { depth: turns },
  };
}
