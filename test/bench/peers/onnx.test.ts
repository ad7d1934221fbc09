import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeOnnxWeights } from '../../../bench/peers/onnx-weights.ts';
import { Message } from '../../../bench/peers/protobuf.ts';
import { stamOnnx } from '../../../bench/peers/stam-onnx.ts';
import { fileSource } from '../../../loaders/node-source.ts';
import { openSafetensors } from '../../../loaders/safetensors.ts';
import type { StamConfig } from '../../../model/config.ts';
import { configFromMetadata, namedConfig } from '../../../model/config.ts';
import { weightShapes } from '../../../model/weights.ts';
import { expectClose } from '../../close.ts';
import { runOnnx } from './onnx-interpreter.ts';
import { readOnnx } from './onnx-reader.ts';

const signal = new AbortController().signal;
const ignore = () => undefined;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'stam-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function openFixture(name: string) {
  const file = new URL(`../../fixtures/${name}.io.safetensors`, import.meta.url).pathname;
  const fixture = await openSafetensors(await fileSource(file));
  const config = configFromMetadata(fixture.metadata);
  if (!config) throw new Error('the fixture has no configuration');
  const [frames, logits] = [await fixture.read('frames'), await fixture.read('logits')];
  await fixture.close();
  return { config, frames, logits };
}

test('the written graph, run in plain loops, gives the logits of the official code', async () => {
  const { config, frames, logits: want } = await openFixture('tiny-a');
  const { bytes, parameters } = stamOnnx(config, 'w');
  const file = path.join(folder, 'tiny-a');
  await writeOnnxWeights(file, parameters, { seed: 1, signal, onProgress: ignore });
  const logits = runOnnx(readOnnx(bytes), frames, await readFile(file));
  expectClose('logits', logits, want, 1e-5);
});

test('the file has the versions, ports and weights of the whole model', () => {
  const config = namedConfig('stam_8');
  const { bytes, parameters } = stamOnnx(config, 'stam_8.weights');
  const { irVersion, opset, input, output, initializers, nodes } = readOnnx(bytes);
  expect({ irVersion, opset }).toEqual({ irVersion: 9, opset: 20 });
  expect(input).toEqual({ name: 'frames', shape: [8, 3, 224, 224] });
  expect(output).toEqual({ name: 'logits', shape: [1, 400] });
  expect(new Set(nodes.map((node) => node.output)).size).toBe(nodes.length);
  // every tensor of the state_dict, some in three parts, each element once
  const shapes = weightShapes(config);
  const elements = (key: string) =>
    [...parameters.values()]
      .filter((entry) => entry.key === key)
      .reduce((sum, { byteLength }) => sum + byteLength / 4, 0);
  for (const [key, shape] of shapes) expect(elements(key), key).toBe(shape.reduce((a, b) => a * b));
  expect(new Set([...parameters.values()].map(({ key }) => key)).size).toBe(shapes.size);
  // where the file says they are: aligned, in order, none over another
  let end = 0;
  for (const { name, dims, external } of initializers.filter((tensor) => tensor.external.size > 0)) {
    const offset = Number(external.get('offset'));
    expect(external.get('location')).toBe('stam_8.weights');
    expect(Number(external.get('length')), name).toBe(4 * dims.reduce((a, b) => a * b));
    expect(offset % 64).toBe(0);
    expect(offset).toBeGreaterThanOrEqual(end);
    end = offset + Number(external.get('length'));
  }
});

test('a shorter model takes its weights from the places of the whole one', async () => {
  const { config } = await openFixture('tiny-a');
  const whole = stamOnnx(config, 'w');
  const short: StamConfig = { ...config, depth: 1, temporalLayers: 1 };
  const { bytes, parameters } = stamOnnx(short, 'w', whole.parameters);
  expect(parameters.size).toBeLessThan(whole.parameters.size);
  for (const [name, parameter] of parameters) expect(parameter).toBe(whole.parameters.get(name));
  expect(readOnnx(bytes).nodes.length).toBeLessThan(readOnnx(whole.bytes).nodes.length);
  expect(() => stamOnnx(config, 'w', parameters)).toThrow(/blocks\.1\..*not in the layout/);
});

test('weights are written once, and again when the layout or the seed is another', async () => {
  const { config } = await openFixture('tiny-b');
  const { parameters } = stamOnnx(config, 'w');
  const file = path.join(folder, 'tiny-b');
  const write = (seed: number) => writeOnnxWeights(file, parameters, { seed, signal, onProgress: ignore });
  await write(1);
  const first = { bytes: await readFile(file), time: (await stat(file)).mtimeMs };
  await write(1);
  expect((await stat(file)).mtimeMs).toBe(first.time);
  await write(2);
  expect(first.bytes.equals(await readFile(file))).toBe(false);
});

test('an abort leaves no file', async () => {
  const { config } = await openFixture('tiny-b');
  const file = path.join(folder, 'aborted');
  const controller = new AbortController();
  const written = writeOnnxWeights(file, stamOnnx(config, 'w').parameters, {
    seed: 1,
    signal: controller.signal,
    onProgress: () => controller.abort(),
  });
  await expect(written).rejects.toThrow(/abort/i);
  await expect(stat(file)).rejects.toThrow(/ENOENT/);
});

test('numbers are written as protocol buffers have them', () => {
  const hex = (message: Message) => Buffer.from(message.encode()).toString('hex');
  // the examples of the format's own documentation: 150, "testing", an embedded 150, packed 3, 270, 86942
  expect(hex(new Message().integer(1, 150))).toBe('089601');
  expect(hex(new Message().string(2, 'testing'))).toBe('120774657374696e67');
  expect(hex(new Message().message(3, new Message().integer(1, 150)))).toBe('1a03089601');
  expect(hex(new Message().integers(6, [3, 270, 86942]))).toBe('3206038e029ea705');
  expect(hex(new Message().integer(1, -1))).toBe('08ffffffffffffffffff01');
  expect(hex(new Message().float(1, 1))).toBe('0d0000803f');
});
