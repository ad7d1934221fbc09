/** Frames of a video: [start, start + count). */
export interface FrameRange {
  readonly start: number;
  readonly count: number;
}
