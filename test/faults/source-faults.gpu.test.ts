// A source of weights that fails or stalls at any of its reads, and an adapter that gives no device: loadStam() rejects soon, frees what it
// took, and works the next time.
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { StamError } from '../../engine/errors.ts';
import { loadStam } from '../../index.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import type { ByteSource } from '../../loaders/source.ts';
import { bufferSource } from '../../loaders/source.ts';
import { unit } from '../../loaders/synthetic.ts';
import { requestTestAdapter } from '../device.ts';
import { smallestConfig, smallestWeights } from '../model/fixtures.ts';
import { safetensorsBytes } from '../safetensors-bytes.ts';
import { longTest, sampleOf } from '../sample.ts';
import type { FaultyGpu } from './faulty-gpu.ts';
import { openFaultyGpu } from './faulty-gpu.ts';

const frames = unit(1, 'frames', smallestConfig.frames * 3 * smallestConfig.imageSize ** 2);
let file: Uint8Array<ArrayBuffer>;
let faulty: FaultyGpu;
let expected: Float32Array;

beforeAll(async () => {
  file = await safetensorsBytes(smallestWeights());
  faulty = await openFaultyGpu();
  const stam = await loadStam(file, { device: faulty.gpu });
  expected = await stam.logits(frames);
  stam.dispose();
});
afterEach(() => {
  vi.unstubAllGlobals();
});

/** The file, of which the n-th read does as it is told; how often it was read; and when that read has begun. */
function source(n: number, read: ByteSource['read']) {
  const inner = bufferSource(file);
  const state = { reads: 0, begun: Promise.resolve() };
  let tell = () => {};
  state.begun = new Promise((resolve) => {
    tell = resolve;
  });
  const faultySource: ByteSource = {
    ...inner,
    async read(...range) {
      if (state.reads++ !== n) return await inner.read(...range);
      tell();
      return await read(...range);
    },
  };
  return { state, open: () => openSafetensors(faultySource) };
}

async function readsOfALoad(): Promise<number> {
  const { state, open } = source(-1, async () => new Uint8Array());
  const stam = await loadStam(await open(), { device: faulty.gpu });
  stam.dispose();
  return state.reads;
}

async function expectHealthy(): Promise<void> {
  expect(faulty.live).toBe(0);
  expect(faulty.uncaptured).toEqual([]);
  const stam = await loadStam(file, { device: faulty.gpu });
  expect(await stam.logits(frames)).toEqual(expected);
  stam.dispose();
  expect(faulty.live).toBe(0);
}

describe('at each of its reads, a source', () => {
  /** The length of the header and the header: openSafetensors() reads them. */
  const headerReads = 2;
  const never = () => new Promise<never>(() => {});

  test('that fails is the reason', async () => {
    const reads = await readsOfALoad();
    expect(reads).toBeGreaterThan(10);
    for (let n = headerReads; n < reads; n++) {
      const gone = new StamError('bad-input', { where: 'server', problem: 'it is gone' });
      const { open } = source(n, async () => {
        throw gone;
      });
      await expect(loadStam(await open(), { device: faulty.gpu })).rejects.toBe(gone);
      expect(faulty.live).toBe(0);
    }
    await expectHealthy();
  });

  test('that ends too early makes a bad checkpoint', async () => {
    const { open } = source(3, async () => new Uint8Array(4));
    await expect(loadStam(await open(), { device: faulty.gpu })).rejects.toMatchObject({ code: 'bad-checkpoint' });
    await expectHealthy();
  });

  longTest('that stalls is given up when the signal says so, though it does not listen', async () => {
    const reads = await readsOfALoad();
    for (let n = headerReads; n < reads; n += 3) {
      const controller = new AbortController();
      const { state, open } = source(n, never);
      const loading = loadStam(await open(), { device: faulty.gpu, signal: controller.signal });
      loading.catch(() => undefined);
      await state.begun;
      controller.abort();
      await expect(loading).rejects.toMatchObject({ name: 'AbortError' });
      expect(faulty.live).toBe(0);
    }
    await expectHealthy();
  });

  longTest('that stalls is given up when the device is lost', async () => {
    for (const n of [headerReads, 9]) {
      const { state, open } = source(n, never);
      const loading = loadStam(await open(), { device: faulty.gpu });
      loading.catch(() => undefined);
      await state.begun;
      faulty.gpu.destroy();
      await expect(loading).rejects.toMatchObject({ code: 'device-lost' });
      expect(faulty.live).toBe(0);
      faulty = await openFaultyGpu();
    }
    await expectHealthy();
  });
});

describe('a GPU that stalls while kernels are tried and a source besides', () => {
  const stalls = [
    ['onSubmittedWorkDone', 0],
    ['onSubmittedWorkDone', 1],
    ['onSubmittedWorkDone', 4],
    ['mapAsync', 0],
    ['mapAsync', 2],
  ] as const;
  test.each(sampleOf('stalls of a GPU beside a source', stalls, 1))(
    'are given up when the signal says so: %s, %i',
    async (call, n) => {
      const controller = new AbortController();
      const { open } = source(2, () => new Promise<never>(() => {}));
      const checkpoint = await open();
      faulty.arm(call, n, 'stalls');
      const loading = loadStam(checkpoint, { device: faulty.gpu, signal: controller.signal });
      const outcome = loading.then(
        () => 'loaded',
        (error: Error) => error.name,
      );
      await vi.waitFor(() => expect(faulty.hasFailed).toBe(true), { timeout: 60_000, interval: 1 });
      controller.abort();
      const late = new Promise((resolve) => setTimeout(resolve, 5000, 'hangs'));
      expect(await Promise.race([outcome, late])).toBe('AbortError');
      faulty.count();
      await expectHealthy();
    },
  );
});

describe('an adapter', () => {
  test('that gives no device is named', async () => {
    const adapter = await requestTestAdapter();
    Object.defineProperty(adapter, 'requestDevice', {
      value: () => Promise.reject(new DOMException('injected', 'OperationError')),
    });
    vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => adapter } });
    await expect(loadStam(file)).rejects.toMatchObject({
      code: 'no-adapter',
      message: expect.stringMatching(/the adapter gives no device; got injected/),
    });
  });

  test('that never answers is given up when the signal says so', async () => {
    vi.stubGlobal('navigator', { gpu: { requestAdapter: () => new Promise(() => {}) } });
    const controller = new AbortController();
    const loading = loadStam(file, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await expect(loading).rejects.toMatchObject({ name: 'AbortError' });
  });
});
