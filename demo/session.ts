// The one model that the page holds in GPU memory.
import type { LoadProgress, Stam } from '../index.ts';
import { loadStam } from '../index.ts';
import type { WeightsChoice } from './models.ts';
import { weightsOf } from './models.ts';

/** Loads models on a device, one at a time. */
export class ModelSession {
  readonly device: GPUDevice;
  #loaded: { readonly choice: WeightsChoice; readonly stam: Stam } | undefined;

  constructor(device: GPUDevice) {
    this.device = device;
  }

  /** The model that is held, if there is one. */
  get current(): Stam | undefined {
    return this.#loaded?.stam;
  }

  /** The model of this choice; the one before it is freed first. Throws what loadStam throws, and holds no model then. */
  async obtain(
    choice: WeightsChoice,
    options: { readonly signal: AbortSignal; readonly onProgress: (progress: LoadProgress) => void },
  ): Promise<Stam> {
    if (this.#loaded?.choice === choice) return this.#loaded.stam;
    this.dispose();
    const stam = await loadStam(weightsOf(choice), { device: this.device, ...options });
    this.#loaded = { choice, stam };
    return stam;
  }

  /** Frees the model. The session can be used again. */
  dispose(): void {
    this.#loaded?.stam.dispose();
    this.#loaded = undefined;
  }
}
