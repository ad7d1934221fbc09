// The camera as a video without an end: a frame at each beat of the model's own rate, and an answer for the last F of them.
import type { Prediction, Stam } from '../index.ts';
import { StamError, samplingOf } from '../index.ts';

export interface CameraOptions {
  readonly signal: AbortSignal;
  readonly topk: number;
  /** Called for each frame, while the element still shows it, with how many the model knows. */
  readonly onFrame: (known: number) => void;
  readonly onPrediction: (predictions: readonly Prediction[]) => void;
}

/** Runs until the signal is aborted; then the camera is off. Throws bad-video when there is no camera, or it goes away. */
export async function watchCamera(stam: Stam, view: HTMLVideoElement, options: CameraOptions): Promise<void> {
  const { signal, topk, onFrame, onPrediction } = options;
  const media = await openCamera();
  const stop = () => {
    for (const track of media.getTracks()) track.stop();
    view.srcObject = null;
  };
  try {
    signal.throwIfAborted();
    view.srcObject = media;
    await view.play();
    const stream = await stam.stream();
    try {
      const { frameRate, framesPerClip } = samplingOf(stam.config);
      for (let due = performance.now(); ; due = Math.max(due + 1000 / frameRate, performance.now())) {
        await waitUntil(due, signal);
        if (!media.active) throw new StamError('bad-video', { where: 'camera', problem: 'it went away' });
        await stream.push(view, { signal });
        onFrame(stream.length);
        if (stream.length === framesPerClip) onPrediction(await stream.predict({ topk, signal }));
        signal.throwIfAborted();
      }
    } finally {
      stream.dispose();
    }
  } finally {
    stop();
  }
}

async function openCamera(): Promise<MediaStream> {
  const problem = 'it cannot be used';
  if (!navigator.mediaDevices) {
    const hint = 'browsers offer it to pages over https or from localhost only';
    throw new StamError('bad-video', { where: 'camera', problem, hint });
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause);
    throw new StamError('bad-video', { where: 'camera', problem, got, hint: 'allow it for this page', cause });
  }
}

function waitUntil(due: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', leave);
      resolve();
    }, due - performance.now());
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
  });
}
