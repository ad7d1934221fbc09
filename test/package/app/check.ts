// What the app in the browser and the one in Node have in common: one load and one forward, by the package's name.
import { bufferSource, loadStam, openSafetensors } from 'stam-webgpu';

export interface Answer {
  readonly got: readonly number[];
  readonly want: readonly number[];
}

/** The logits of a fixture's frames, computed here and by the official code. The weights tell the model. */
export async function check(weights: Uint8Array, truth: Uint8Array, device: GPUDevice | undefined): Promise<Answer> {
  const fixture = await openSafetensors(bufferSource(truth));
  const stam = await loadStam(await openSafetensors(bufferSource(weights)), { device });
  // what the library gives is its own memory, which its types must say
  const got: Float32Array<ArrayBuffer> = await stam.logits(await fixture.read('frames'));
  stam.dispose();
  return { got: [...got], want: [...(await fixture.read('logits'))] };
}
