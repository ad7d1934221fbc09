// Which frames of a video SlowFast's test of a network looks at: clips of one length spread over the video, and frames spread over each.
//
//   length = max(1, frameStep * framesPerClip / targetRate * fps)                 in double, in this order
//   start  = max(frameCount - length, 0) * k / clips, end = start + length - 1    in double, k = 0 .. clips - 1
//   frames = linspace(start, end, framesPerClip), limited to the video, cut to integers     torch computes it in float32
import { checkRate, checkWhole } from './frame-choice.ts';

/** How a video is viewed. */
export interface ViewRule {
  readonly clips: number;
  /** F, the frames of one clip. */
  readonly framesPerClip: number;
  /** From one frame of a clip to the next, in frames of a video of `targetRate` frames a second. */
  readonly frameStep: number;
  readonly targetRate: number;
}

/** The most frames that float32 counts. */
const maxFrames = 2 ** 24;

/** How many frames of a video of this rate a clip spans; no integer. A shorter video has its last frame repeated. */
export function clipLength(fps: number, { framesPerClip, frameStep, targetRate }: ViewRule): number {
  return Math.max(1, ((frameStep * framesPerClip) / targetRate) * fps);
}

/**
 * The frames of each clip, [clips][F], as places among the video's frames. Clips overlap; those of a video that is shorter than one begin
 * with its first frame and end with copies of its last. Throws bad-input when an argument is no count or rate.
 */
export function chooseViews(frameCount: number, fps: number, rule: ViewRule): readonly (readonly number[])[] {
  const { clips, framesPerClip, frameStep, targetRate } = rule;
  checkWhole('frameCount', frameCount, 1, maxFrames);
  checkRate('fps', fps);
  checkRate('targetRate', targetRate);
  checkWhole('clips', clips, 1, maxFrames);
  checkWhole('framesPerClip', framesPerClip, 2, maxFrames);
  checkWhole('frameStep', frameStep, 1, maxFrames);
  const length = clipLength(fps, rule);
  return Array.from({ length: clips }, (_, clip) => {
    const start = (Math.max(frameCount - length, 0) * clip) / clips;
    return linspace(start, start + length - 1, framesPerClip).map((place) =>
      Math.trunc(Math.min(Math.max(place, 0), frameCount - 1)),
    );
  });
}

/** torch.linspace in float32: the first half counts from the start, the second from the end. */
function linspace(from: number, to: number, count: number): readonly number[] {
  const { fround } = Math;
  const [start, end] = [fround(from), fround(to)];
  const step = fround(fround(end - start) / (count - 1));
  return Array.from({ length: count }, (_, i) =>
    i < Math.floor(count / 2) ? fround(start + fround(step * i)) : fround(end - fround(step * (count - 1 - i))),
  );
}
