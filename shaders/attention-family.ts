// What the kernel families of attention have in common.
import type { Capabilities } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { Kernel } from '../engine/kernel.ts';

/** softmax(q k^T / sqrt D) v for every head of every sequence: [B, T, 3, H, D] -> [B, T, H, D]. */
export interface Attention {
  readonly storage: StorageType;
  /** B */
  readonly sequences: number;
  /** T */
  readonly tokens: number;
  /** H */
  readonly heads: number;
  /** D / 4 */
  readonly headQuads: number;
}

/** A kernel family: its kernels for an attention on a device, best first; none where it cannot run. */
export type AttentionFamily = (attention: Attention, capabilities: Capabilities) => Kernel[];

/** For a variant's name. */
export function attentionLabel({ tokens, heads, headQuads }: Attention, storage: string): string {
  return `${storage} ${tokens}x${heads}x${headQuads * 4}`;
}
