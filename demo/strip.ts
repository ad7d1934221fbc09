// The chosen frames as the model sees them, with their times.
import type { PictureSource } from '../index.ts';
import { byId, element } from './dom.ts';
import type { FrameChoice } from './frame-choice.ts';

/** Pixels of a thumbnail, for screens of two pixels to one. */
const side = 144;
/** The part of the shorter side that the model's crop keeps. */
const zoom = 0.875;

type Drawable = Exclude<PictureSource, GPUTexture | ImageData>;

/** Empty places for `count` frames. */
export function clearStrip(count: number): void {
  const shots = Array.from({ length: count }, () => {
    const canvas = element('canvas', '');
    canvas.width = side;
    canvas.height = side;
    return element('li', 'shot', canvas, element('span', 'shot-time', '\u2013'));
  });
  byId('strip', HTMLElement).replaceChildren(...shots);
}

/** Writes when the frames are shown, and which they are. */
export function labelStrip({ numbers, times }: FrameChoice): void {
  if (places().length !== times.length) clearStrip(times.length);
  for (const [place, shot] of places().entries()) {
    const number = numbers[place];
    const name = number === null ? 'frame' : `frame ${number}`;
    const time = `${times[place].toFixed(2)} s`;
    if (number !== null) shot.dataset['frame'] = `${number}`;
    shot.title = `${name}, at ${time}`;
    shot.querySelector('.shot-time')?.replaceChildren(time);
    const canvas = shot.querySelector('canvas');
    canvas?.setAttribute('role', 'img');
    canvas?.setAttribute('aria-label', `${name}, at ${time}`);
  }
}

/** Draws the square in the middle of a picture that the model's crop keeps. */
export function drawShot(place: number, picture: Drawable): void {
  const context = places()[place]?.querySelector('canvas')?.getContext('2d');
  if (!context) return;
  const [width, height] = sizeOf(picture);
  const crop = zoom * Math.min(width, height);
  context.drawImage(picture, (width - crop) / 2, (height - crop) / 2, crop, crop, 0, 0, side, side);
}

const places = () => [...byId('strip', HTMLElement).querySelectorAll<HTMLElement>('.shot')];

function sizeOf(picture: Drawable): [width: number, height: number] {
  if ('displayWidth' in picture) return [picture.displayWidth, picture.displayHeight];
  if ('videoWidth' in picture) return [picture.videoWidth, picture.videoHeight];
  return [picture.width, picture.height];
}
