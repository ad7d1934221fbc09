// What tests call inside of the page, with the demo's own modules.
import { readPictures } from '../../demo/clip.ts';
import { syntheticWeights, tiny } from '../../demo/models.ts';
import { openVideoFile } from '../../demo/video-file.ts';
import { loadStam, readClip, samplingOf } from '../../index.ts';

/** The frames of a file, and the tiny model's logits for them in both ways of reading colours. */
async function logitsOf(file: File) {
  const { signal } = new AbortController();
  const video = await openVideoFile(file);
  const { count, rate, numbers, official, close } = await readClip(video, samplingOf(tiny));
  close();
  video.close();
  const ignore = () => undefined;
  const clip = await readPictures(file, samplingOf(tiny), {
    spread: false,
    signal,
    onChoice: ignore,
    onPicture: ignore,
  });
  const stam = await loadStam(syntheticWeights(tiny));
  try {
    return {
      frames: count,
      rate,
      numbers,
      official,
      shown: clip.choice.numbers,
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
