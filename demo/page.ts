// The page: what its controls do. Everything long is a job, and there is one at a time.
import type { LoadProgress, Stam } from '../index.ts';
import { StamError, samplingOf } from '../index.ts';
import type { Gpu } from './adapter.ts';
import { openGpu } from './adapter.ts';
import { benchmark, mostRuns } from './benchmark.ts';
import { watchCamera } from './camera.ts';
import { drawChart, median } from './chart.ts';
import { readPictures } from './clip.ts';
import { byId } from './dom.ts';
import { TooShort } from './frame-choice.ts';
import { showInfo } from './info.ts';
import type { Job } from './jobs.ts';
import { Jobs } from './jobs.ts';
import type { WeightsChoice } from './models.ts';
import { describeWeights, models } from './models.ts';
import { hideNotice, showNotice } from './notices.ts';
import { Preview } from './preview.ts';
import { clearResults, shownClasses, showPredictions, showTime } from './results.ts';
import { ModelSession } from './session.ts';
import { clearStrip, drawShot, labelStrip } from './strip.ts';

const controls = {
  video: byId('video-file', HTMLInputElement),
  camera: byId('camera', HTMLButtonElement),
  again: byId('again', HTMLButtonElement),
  model: byId('model', HTMLSelectElement),
  colors: byId('colors', HTMLSelectElement),
  weightsFile: byId('weights-file', HTMLInputElement),
  weightsUrl: byId('weights-url', HTMLInputElement),
  weightsOpen: byId('weights-open', HTMLButtonElement),
  weightsNone: byId('weights-none', HTMLButtonElement),
  bench: byId('bench', HTMLButtonElement),
};
const chart = document.querySelector<SVGSVGElement>('#chart');
const speed = byId('speed', HTMLOutputElement);

const jobs = new Jobs(fail);
const preview = new Preview(takeVideo);
let session: ModelSession | undefined;
let weights: WeightsChoice = { kind: 'synthetic', model: 'stam_16' };
let file: File | undefined;
let watching = false;

controls.model.append(...[...models].map(([name, { frames }]) => new Option(`${name}, ${frames} frames`, name)));
controls.video.addEventListener('change', () => takeFile(controls.video, takeVideo));
controls.again.addEventListener('click', () => classify(false));
controls.camera.addEventListener('click', () => (watching ? jobs.cancel() : watch()));
controls.bench.addEventListener('click', measure);
controls.model.addEventListener('change', chooseSynthetic);
controls.weightsNone.addEventListener('click', chooseSynthetic);
controls.weightsFile.addEventListener('change', () =>
  takeFile(controls.weightsFile, (chosen) => chooseWeights({ kind: 'file', file: chosen })),
);
byId('weights-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  const url = controls.weightsUrl.value.trim();
  if (url) chooseWeights({ kind: 'url', url: new URL(url, location.href) });
});
clearResults();
clear();
void start();

/** Finds the GPU, and says what it means for the visitor. */
async function start(): Promise<void> {
  let gpu: Gpu;
  try {
    gpu = await openGpu();
  } catch (error) {
    byId('adapter', HTMLElement).textContent = 'No GPU to compute on';
    fail(error);
    return;
  }
  hideNotice('failure');
  session = new ModelSession(gpu.device);
  void gpu.device.lost.then((info) => lose(info));
  byId('adapter', HTMLElement).textContent = gpu.name;
  if (gpu.adapter.software) {
    showNotice(
      'software',
      'This adapter computes on the processor: a full-size video takes it minutes, the tiny model seconds.',
    );
  }
  controls.model.value = gpu.adapter.software ? 'tiny' : 'stam_16';
  chooseSynthetic();
  for (const control of Object.values(controls)) control.disabled = false;
  controls.again.disabled = file === undefined;
}

function lose({ reason, message }: GPUDeviceLostInfo): void {
  session = undefined; // its memory went with the device
  jobs.cancel();
  for (const control of Object.values(controls)) control.disabled = true;
  byId('adapter', HTMLElement).textContent = 'The GPU device was lost';
  const why = message || reason;
  showNotice('failure', `The GPU device was lost: ${why}.`, { label: 'Start again', act: () => void start() });
}

function fail(error: unknown): void {
  if (error instanceof TooShort) {
    const act = () => void classify(true);
    showNotice('too-short', error.message, { label: 'Spread the frames over what there is', act });
  } else if (!(error instanceof StamError && error.code === 'device-lost')) {
    // lose() has spoken of the device already
    showNotice('failure', error instanceof Error ? error.message : String(error));
  }
}

/** The file that was picked; picking it again is a change, too. */
function takeFile(input: HTMLInputElement, take: (file: File) => void): void {
  const [chosen] = input.files ?? [];
  input.value = '';
  if (chosen) take(chosen);
}

function takeVideo(chosen: File): void {
  // weights dropped on the page are as welcome
  if (/\.(safetensors|pth|pt)$/i.test(chosen.name)) {
    chooseWeights({ kind: 'file', file: chosen });
    return;
  }
  if (!session) return;
  file = chosen;
  controls.again.disabled = false;
  preview.showFile(chosen);
  void classify(false);
}

function chooseSynthetic(): void {
  chooseWeights({ kind: 'synthetic', model: controls.model.value });
}

function chooseWeights(choice: WeightsChoice): void {
  weights = choice;
  jobs.cancel();
  byId('weights', HTMLElement).textContent = describeWeights(choice);
  if (choice.kind === 'synthetic') {
    showNotice('synthetic', 'No weights are given: these are numbers made by rule, and the classes mean nothing.');
  } else {
    hideNotice('synthetic');
  }
  clear();
}

/** What was said of the last video, and in which speed, holds no more. */
function clear(): void {
  hideNotice('failure', 'too-short', 'remark');
  clearResults();
  showTime('load', undefined);
  clearStrip(weights.kind === 'synthetic' ? (models.get(weights.model)?.frames ?? 0) : 16);
  speed.textContent = '\u2013';
  if (chart) drawChart(chart, [], mostRuns);
}

/** Classifies the video; `spread` takes frames from all over it where the official sampling finds too few. */
async function classify(spread: boolean): Promise<void> {
  const video = file;
  if (!video) return;
  await jobs.run(async (job) => {
    const { signal, report } = job;
    hideNotice('failure', 'too-short', 'remark');
    clearResults();
    const stam = await obtain(job);
    const { frames } = stam.config;
    clearStrip(frames);
    report(`Reading ${video.name}`);
    let shown = 0;
    const clip = await readPictures(video, samplingOf(stam.config), {
      spread,
      signal,
      onChoice: labelStrip,
      onPicture(picture, place) {
        drawShot(place, picture);
        report('Decoding', ++shown / frames);
      },
    });
    try {
      showTime('read', clip.readMs);
      showTime('decode', clip.decodeMs);
      if (clip.remarks.length) showNotice('remark', clip.remarks.join(' '));
      report('Computing');
      const begin = performance.now();
      const colors = controls.colors.value === 'fast' ? 'fast' : 'exact';
      const [predictions] = await stam.classify(clip.pictures, { topk: shownClasses, signal, colors });
      showTime('compute', performance.now() - begin);
      showPredictions(predictions);
    } finally {
      clip.close();
    }
  });
}

async function watch(): Promise<void> {
  await jobs.run(async (job) => {
    hideNotice('failure', 'too-short', 'remark');
    clearResults();
    const stam = await obtain(job);
    const { frames } = stam.config;
    clearStrip(frames);
    watching = true;
    controls.camera.textContent = 'Stop the camera';
    preview.showCamera();
    let shown = 0;
    try {
      await watchCamera(stam, preview.view, {
        signal: job.signal,
        topk: shownClasses,
        onFrame(known) {
          drawShot(shown++ % frames, preview.view);
          job.report(known < frames ? `Camera: ${known} of ${frames} frames` : 'Camera: watching', known / frames);
        },
        onPrediction: (predictions) => showPredictions(predictions, false),
      });
    } finally {
      watching = false;
      controls.camera.textContent = 'Use the camera';
      preview.showFile(file);
    }
  });
}

async function measure(): Promise<void> {
  await jobs.run(async (job) => {
    hideNotice('failure');
    const stam = await obtain(job);
    job.report('Measuring: warming up');
    const times = await benchmark(stam, openSession().device, {
      signal: job.signal,
      onRun(times) {
        job.report('Measuring', times.length / mostRuns);
        if (chart) drawChart(chart, times, mostRuns);
      },
    });
    speed.textContent = (1000 / median(times)).toPrecision(3);
  });
}

/** The model of the choice made, loaded if it is not. */
async function obtain({ signal, report }: Job): Promise<Stam> {
  const begin = performance.now();
  report('Loading the model');
  const stages: Readonly<Record<LoadProgress['stage'], string>> = {
    download: 'Downloading weights',
    tune: 'Trying kernels',
    upload: 'Uploading weights',
    compile: 'Compiling kernels',
    ready: 'Ready',
  };
  const held = openSession();
  const before = held.current;
  const stam = await held.obtain(weights, {
    signal,
    onProgress: ({ stage, loaded, total }) => report(stages[stage], loaded / total),
  });
  if (stam !== before) showTime('load', performance.now() - begin);
  showInfo(stam);
  return stam;
}

function openSession(): ModelSession {
  if (session) return session;
  throw new StamError('device-lost', { where: 'page', problem: 'there is no GPU device' });
}
