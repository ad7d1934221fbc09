// What tests call inside of the page, with the demo's own modules.
import { readClip } from '../../demo/clip.ts';
import { syntheticWeights, tiny } from '../../demo/models.ts';
import { openVideoFile } from '../../demo/video-file.ts';
import { loadStam } from '../../index.ts';

/** The frames of a file, and the tiny model's logits for them in both ways of reading colours. */
async function logitsOf(file: File) {
  const { signal } = new AbortController();
  const { times, rate, codec, close } = await openVideoFile(file, signal);
  close();
  const ignore = () => undefined;
  const clip = await readClip(file, tiny, { spread: false, signal, onChoice: ignore, onPicture: ignore });
  const stam = await loadStam(syntheticWeights(tiny));
  try {
    return {
      frames: times.length,
      rate,
      codec,
      numbers: clip.choice.numbers,
      remarks: clip.remarks,
      exact: [...(await stam.logits(clip.pictures, { colors: 'exact' }))],
      fast: [...(await stam.logits(clip.pictures, { colors: 'fast' }))],
    };
  } finally {
    clip.close();
    stam.dispose();
  }
}

const demoChecks = { logitsOf };

declare global {
  interface Window {
    demoChecks: typeof demoChecks;
  }
}

window.demoChecks = demoChecks;
