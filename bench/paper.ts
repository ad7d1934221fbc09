// What the paper and its repository state, to stand beside a measurement. Not measured here.

export interface PaperFigure {
  readonly model: string;
  /** How many times the network runs on a video, on 16 frames of X3D or all of STAM. */
  readonly views: number;
  /** Frames of a video that go into the network, in all views together. */
  readonly inputFrames: number;
  /** Kinetics-400, percent. */
  readonly topOne: number;
  /** Videos a second on a V100, mixed precision. */
  readonly videosPerSecond: number | undefined;
}

/** arXiv 2103.13915, table 1, and the README of github.com/Alibaba-MIIL/STAM. X3D takes 30 views a video, at 256 (M) or 356 pixels. */
export const paperFigures: readonly PaperFigure[] = [
  { model: 'x3d_m', views: 30, inputFrames: 480, topOne: 76, videosPerSecond: 1.3 },
  { model: 'x3d_l', views: 30, inputFrames: 480, topOne: 77.5, videosPerSecond: 0.46 },
  { model: 'x3d_xl', views: 30, inputFrames: 480, topOne: 79.1, videosPerSecond: undefined },
  { model: 'stam_16', views: 1, inputFrames: 16, topOne: 77.8, videosPerSecond: 20 },
  { model: 'stam_64', views: 1, inputFrames: 64, topOne: 79.2, videosPerSecond: 4.8 },
];

/** Throws RangeError for a model that the paper's table has not. */
export function figureOf(model: string): PaperFigure {
  const found = paperFigures.find((figure) => figure.model === model);
  if (found) return found;
  throw new RangeError(`paper: got ${model}, expected ${paperFigures.map((figure) => figure.model).join(', ')}`);
}
