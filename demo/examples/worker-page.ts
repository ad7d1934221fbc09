// The page's side: it makes pictures, hands them over without a copy, and goes on.
import type { Answer } from './worker.ts';

const show = (id: string, text: string) => document.getElementById(id)?.replaceChildren(text);
const button = document.querySelector('button');
const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
let frames = 0;

worker.onmessage = ({ data }: MessageEvent<Answer>) => {
  if ('problem' in data) return show('answer', data.problem);
  if ('frames' in data) frames = data.frames;
  else show('answer', data.predictions.map(({ label, score }) => `${label} ${(100 * score).toFixed(1)} %`).join(', '));
  if (button) button.disabled = false;
};

button?.addEventListener('click', async () => {
  button.disabled = true;
  const pictures = await Promise.all(Array.from({ length: frames }, (_, i) => picture(i / frames)));
  worker.postMessage(pictures, pictures); // the second list is what changes hands: nothing is copied
});

/** Any picture will do: this one is a disc that moves across. */
async function picture(time: number): Promise<ImageBitmap> {
  const canvas = new OffscreenCanvas(320, 240);
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  context.fillStyle = 'teal';
  context.arc(320 * time, 120, 40, 0, 2 * Math.PI);
  context.fill();
  return canvas.transferToImageBitmap();
}

// What shows that the page stays awake while the worker works.
let beats = 0;
const beat = () => {
  show('beat', `${++beats}`);
  requestAnimationFrame(beat);
};
beat();
