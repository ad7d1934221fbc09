// What the paper and its repository state, to stand beside a measurement. Not measured here.

export interface PaperFigure {
  readonly model: string;
  /** Kinetics-400, percent. */
  readonly topOne: number;
  /** Videos a second on a V100, mixed precision. */
  readonly videosPerSecond: number | undefined;
}

/** arXiv 2103.13915, table 1, and the README of github.com/Alibaba-MIIL/STAM. X3D takes 30 views a video. */
export const paperFigures: readonly PaperFigure[] = [
  { model: 'stam_16', topOne: 77.8, videosPerSecond: 20 },
  { model: 'stam_64', topOne: 79.2, videosPerSecond: 4.8 },
  { model: 'x3d_m', topOne: 76, videosPerSecond: 1.3 },
  { model: 'x3d_l', topOne: 77.5, videosPerSecond: 0.46 },
  { model: 'x3d_xl', topOne: 79.1, videosPerSecond: undefined },
];
