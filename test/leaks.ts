// After each file of GPU tests: nothing of it is left on the device that the next one gets.
import { afterAll, expect } from 'vitest';
import { forgetLiveObjects, liveObjects } from './device.ts';

/** Milliseconds: what is not over when its model is disposed of frees its memory a little later. */
const soon = 5000;

afterAll(async () => {
  for (const begin = performance.now(); liveObjects().length > 0 && performance.now() - begin < soon; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const left = liveObjects();
  forgetLiveObjects(); // the next file is not to answer for them
  expect(left, 'GPU objects that were made and not destroyed').toEqual([]);
});
