// Devices of one GPUDevice share what is compiled there, and none is hurt by what becomes of another. On Dawn's null backend, which
// compiles every shader.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Device } from '../../engine/device.ts';
import { KernelTexts } from '../../engine/kernel-texts.ts';
import { requestTestAdapter } from '../device.ts';
import { doubling } from './doubling.ts';
import { kernelOfText } from './small-program.ts';

const kernel = doubling('shared');

let gpu: GPUDevice;
let [one, other]: Device[] = [];
let compile: ReturnType<typeof vi.fn<GPUDevice['createComputePipelineAsync']>>;

beforeEach(async () => {
  const adapter = await requestTestAdapter('null');
  gpu = await adapter.requestDevice();
  compile = vi.fn(gpu.createComputePipelineAsync.bind(gpu));
  gpu.createComputePipelineAsync = compile;
  [one, other] = [await Device.adopt(gpu), await Device.adopt(gpu)];
});
afterEach(() => {
  for (const device of [one, other]) device.dispose();
  gpu.destroy();
});

/** Pipelines are ready, or have failed, once `end` is called with nothing or an error. */
function stall(): (error?: Error) => void {
  let end: (error?: Error) => void = () => undefined;
  const ended = new Promise<Error | undefined>((resolve) => {
    end = resolve;
  });
  const really = compile.getMockImplementation();
  compile.mockImplementationOnce(async (descriptor) => {
    const error = await ended;
    if (error || !really) throw error;
    return await really(descriptor);
  });
  return end;
}

describe('what is compiled', () => {
  test('is there for every Device, and goes with the last one that asked for it', async () => {
    const { pipeline } = await one.pipelines.compile(kernel);
    expect((await other.pipelines.compile(doubling('shared'))).pipeline).toBe(pipeline);
    await one.pipelines.compile(doubling('own'));
    expect(compile).toHaveBeenCalledTimes(2);
    one.dispose();
    expect(other.pipelines.size).toBe(1);
    expect((await other.pipelines.compile(kernel)).pipeline).toBe(pipeline);
    other.dispose();
    expect(other.pipelines.size).toBe(0);
    one = await Device.adopt(gpu);
    expect((await one.pipelines.compile(kernel)).pipeline).not.toBe(pipeline);
  });

  test('is forgotten by one, not by another', async () => {
    await Promise.all([one, other].map(({ pipelines }) => pipelines.compile(kernel)));
    one.pipelines.forget(kernel);
    await other.pipelines.compile(kernel);
    expect(compile).toHaveBeenCalledTimes(1);
    other.pipelines.forget(kernel);
    expect(other.pipelines.size).toBe(0);
  });

  test('and fails, fails for all who wait, and is tried anew', async () => {
    const end = stall();
    const waiting = [one, other].map(({ pipelines }) => pipelines.compile(kernel));
    end(new Error('injected'));
    for (const refused of await Promise.allSettled(waiting)) {
      expect(refused).toMatchObject({ reason: { code: 'shader', message: expect.stringContaining('injected') } });
    }
    expect(one.pipelines.size).toBe(0);
    await one.pipelines.compile(kernel);
  });

  test('and fails late, does not take away what was compiled meanwhile', async () => {
    const end = stall();
    const late = one.pipelines.compile(kernel);
    one.pipelines.forget(kernel);
    const { pipeline } = await other.pipelines.compile(kernel);
    end(new Error('injected'));
    await expect(late).rejects.toMatchObject({ code: 'shader' });
    expect((await one.pipelines.compile(kernel)).pipeline).toBe(pipeline);
  });

  test('is waited for by one while another is disposed of, which keeps nothing afterwards', async () => {
    const end = stall();
    const [left, waiting] = [one, other].map(({ pipelines }) => pipelines.compile(kernel));
    one.dispose();
    await expect(left).rejects.toMatchObject({ code: 'disposed' });
    end();
    await waiting;
    expect(compile).toHaveBeenCalledTimes(1);
    await expect(one.pipelines.compile(kernel)).rejects.toMatchObject({ code: 'disposed' });
    other.pipelines.forget(kernel);
    expect(other.pipelines.size).toBe(0);
  });

  test('is waited for by nobody once the device is lost', async () => {
    stall();
    const waiting = [one, other].map(({ pipelines }) => pipelines.compile(kernel));
    gpu.destroy();
    for (const lost of await Promise.allSettled(waiting))
      expect(lost).toMatchObject({ reason: { code: 'device-lost' } });
  });
});

test('a text is written out once for equal kernels, and anew for those that differ in what it is made of', () => {
  const { resolve } = new KernelTexts();
  const importing = (text: string) => kernelOfText('// #import part', { imports: { part: text } });
  expect(resolve(importing('// a'))).toBe(resolve(importing('// a')));
  expect(resolve(doubling('a', { turns: 2 })).code).not.toBe(resolve(doubling('a', { turns: 3 })).code);
  const codes = [importing('// b'), kernelOfText('// c'), kernelOfText('// c', { features: ['shader-f16'] })].map(
    (one) => resolve(one).code,
  );
  expect(codes.map((code) => /\/\/ [bc]$/.exec(code)?.[0])).toEqual(['// b', '// c', '// c']);
  expect(codes[2]).toMatch(/^enable f16;/);
});
