// The loss of a GPUDevice, told to everyone who waits for that device. WebGPU itself tells it by a promise alone, and what is in flight
// at the time is rejected by other errors, a little earlier or never.

/** One for each GPUDevice: what waits for the loss of an app's device stays in memory as long as that device does. */
export class DeviceLoss {
  static readonly #known = new WeakMap<GPUDevice, DeviceLoss>();
  readonly #waiting = new Set<() => void>();
  #info: GPUDeviceLostInfo | undefined;

  private constructor(gpu: GPUDevice) {
    void gpu.lost.then((info) => {
      this.#info = info;
      for (const tell of [...this.#waiting]) tell();
    });
  }

  static of(gpu: GPUDevice): DeviceLoss {
    const known = DeviceLoss.#known.get(gpu);
    if (known) return known;
    const loss = new DeviceLoss(gpu);
    DeviceLoss.#known.set(gpu, loss);
    return loss;
  }

  /** Why the device is gone; undefined while it is there. */
  get info(): GPUDeviceLostInfo | undefined {
    return this.#info;
  }

  /**
   * What `work` resolves or rejects with, or `lost()` as soon as the device is gone. A rejection is held back for a moment: where the
   * device is lost that is the reason, and its own news may come second.
   */
  async settle<T>(work: Promise<T>, lost: () => Error): Promise<T> {
    if (this.#info) {
      work.catch(() => undefined);
      throw lost();
    }
    return await new Promise<T>((resolve, reject) => {
      const tell = () => {
        this.#waiting.delete(tell);
        reject(lost());
      };
      this.#waiting.add(tell);
      work.then(
        (value) => {
          this.#waiting.delete(tell);
          resolve(value);
        },
        (error: unknown) => {
          setTimeout(() => {
            this.#waiting.delete(tell);
            reject(error);
          }, newsDelay);
        },
      );
    });
  }
}

/** Milliseconds by which the news of a loss may come after its consequences. */
const newsDelay = 50;
