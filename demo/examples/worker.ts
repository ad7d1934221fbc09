// The worker's side: it owns the device and the model, and answers one message at a time.
import { loadStam, type Prediction } from '../../index.ts'; // 'stam-webgpu' in your app
import { syntheticWeights, tiny } from '../models.ts';

/** What the worker says: how many frames it wants, then an answer for each set of them, or what went wrong. */
export type Answer = { frames: number } | { predictions: readonly Prediction[] } | { problem: string };

const answer = (message: Answer) => self.postMessage(message);

try {
  const stam = await loadStam(syntheticWeights(tiny)); // the bytes of your checkpoint, in your app
  self.onmessage = async ({ data: pictures }: MessageEvent<readonly ImageBitmap[]>) => {
    try {
      const [predictions] = await stam.classify(pictures, { topk: 3 });
      answer({ predictions });
    } catch (error) {
      answer({ problem: String(error) });
    } finally {
      for (const picture of pictures) picture.close(); // they came by transfer: nobody else can
    }
  };
  answer({ frames: stam.config.frames });
} catch (error) {
  answer({ problem: String(error) });
}
