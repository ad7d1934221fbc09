// How the pixels of a decoded picture lie in memory, and the texts by which a kernel reads them.
import pixelsPlanes from './shared/pixels-planes.wgsl';
import pixelsQuads from './shared/pixels-quads.wgsl';
import pixelsRgb from './shared/pixels-rgb.wgsl';

/**
 * Dense bytes. RGB: [H, W, 3]. RGBA, BGRA: [H, W, 4], the last of which is not looked at. I420: a plane of luma [H, W], then U, then V,
 * [H / 2, W / 2] each, rounded up. NV12: luma, then pairs U V. Names are WebCodecs'.
 */
export type PixelFormat = 'RGB' | 'RGBA' | 'BGRA' | 'I420' | 'NV12';

interface FormatText {
  /** For a kernel's variant name. */
  readonly label: string;
  /** The import `pixels`. */
  readonly text: string;
  readonly constants: Readonly<Record<string, number>>;
}

export const formatTexts: Readonly<Record<PixelFormat, FormatText>> = {
  RGB: { label: 'rgb', text: pixelsRgb, constants: {} },
  RGBA: { label: 'rgba', text: pixelsQuads, constants: { RED: 0 } },
  BGRA: { label: 'bgra', text: pixelsQuads, constants: { RED: 2 } },
  I420: { label: 'i420', text: pixelsPlanes, constants: { CHROMA: 1 } },
  NV12: { label: 'nv12', text: pixelsPlanes, constants: { CHROMA: 2 } },
};

/** Bytes of one picture. */
export function pictureBytes(format: PixelFormat, width: number, height: number): number {
  if (format === 'RGB') return 3 * width * height;
  if (format === 'RGBA' || format === 'BGRA') return 4 * width * height;
  return width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
}
