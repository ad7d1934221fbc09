// An X3D as small and odd as one can be that still has every kind of layer and every kernel's awkward sizes.
import type { X3dConfig } from '../../model/x3d-config.ts';

export const smallX3d: X3dConfig = {
  imageSize: 33,
  frames: 5,
  stem: 8,
  stages: [
    { blocks: 2, channels: 8, inner: 18, squeeze: 8 },
    { blocks: 1, channels: 12, inner: 27, squeeze: 8 },
    { blocks: 1, channels: 20, inner: 45, squeeze: 3 },
    { blocks: 2, channels: 24, inner: 54, squeeze: 8 },
  ],
  pooled: 54,
  projected: 40,
  window: 1,
  classes: 7,
  epsilon: 1e-5,
};
