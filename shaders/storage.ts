// Which snippet makes a kernel read and write a storage type on a given device.
import type { Capabilities } from '../engine/device.ts';
import type { StorageType } from '../engine/dtype.ts';
import type { Kernel } from '../engine/kernel.ts';
import storageF16 from './shared/storage-f16.wgsl';
import storageF32 from './shared/storage-f32.wgsl';
import storagePacked from './shared/storage-packed.wgsl';

export interface Storage {
  /** For a kernel's variant name: `f32`, `f16`, or `packed` for f16 without shader-f16. */
  readonly label: string;
  readonly text: string;
  readonly features: Kernel['features'];
}

const f32: Storage = { label: 'f32', text: storageF32, features: [] };
const f16: Storage = { label: 'f16', text: storageF16, features: ['shader-f16'] };
const packed: Storage = { label: 'packed', text: storagePacked, features: [] };

export function storageOf(type: StorageType, capabilities: Capabilities): Storage {
  if (type === 'f32') return f32;
  return capabilities.features.has('shader-f16') ? f16 : packed;
}

/**
 * The same for kernels whose time goes into loads: halves travel packed even where there is shader-f16, because two of them are then
 * one load on adapters that load element by element (all software ones).
 */
export function packedStorageOf(type: StorageType): Storage {
  return type === 'f32' ? f32 : packed;
}
