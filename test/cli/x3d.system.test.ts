// The commands on an X3D: a checkpoint as pytorchvideo has it, counters included, recognised by its tensors and run on frames of a file.
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inspect } from '../../cli/inspect.ts';
import { run } from '../../cli/run.ts';
import { createFileSink, fileSource } from '../../loaders/node-source.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { writeSafetensors } from '../../loaders/safetensors-writer.ts';
import { openSynthetic, syntheticTensor, unit } from '../../loaders/synthetic.ts';
import { isCounter, x3dShapes } from '../../model/x3d-weights.ts';
import { expectClose } from '../close.ts';
import { smallX3d } from '../model/x3d-fixture.ts';
import { x3dReference } from '../model/x3d-reference.ts';
import { longTest } from '../sample.ts';
import { call } from './call.ts';
import { shareDevice } from './shared-device.ts';

const adapter = ['--adapter', process.env['STAM_ADAPTER'] ?? 'software'];
// of a network that nobody published, a file tells neither frames nor window
const config = { ...smallX3d, frames: 16, window: 2 };
let folder: string;
let weights: string;

beforeAll(async () => {
  await shareDevice();
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'stam-test-'));
  weights = path.join(folder, 'weights.safetensors');
  await fs.writeFile(weights, await checkpointBytes());
});
afterAll(() => fs.rm(folder, { recursive: true }));

/** A safetensors file of the synthetic weights of seed 1, counters being 64-bit integers. */
async function checkpointBytes(): Promise<Buffer> {
  const parts: Buffer[] = [];
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, shape] of x3dShapes(config)) {
    const data = isCounter(name) ? Buffer.alloc(8, 1) : Buffer.from(syntheticTensor(1, name, shape).buffer);
    header[name] = { dtype: isCounter(name) ? 'I64' : 'F32', shape, data_offsets: [end, end + data.length] };
    end += data.length;
    parts.push(data);
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...parts]);
}

test('inspect names it', async () => {
  const { code, stdout } = await call([inspect], ['inspect', weights]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/model: X3D of 2 1 1 2 blocks, 8 12 20 24 channels, 7 classes$/m);
});

longTest('run --model auto gives the logits and every block, in the order of dimensions of PyTorch', async () => {
  const frames = unit(5, 'frames', 3 * 16 * 33 * 33);
  const input = path.join(folder, 'frames.safetensors');
  const shape = [1, 3, 16, 33, 33];
  await writeSafetensors(await createFileSink(input), [{ name: 'frames', dtype: 'F32', shape, data: () => frames }]);
  const output = path.join(folder, 'out.safetensors');
  const args = ['run', '--weights', weights, '--input', input, '--output', output, '--dump', ...adapter];
  const { code, stderr } = await call([run], args);
  expect(code, stderr).toBe(0);
  const want = await x3dReference(config, openSynthetic(1, x3dShapes(config)), frames, 1);
  const got = await openSafetensors(await fileSource(output));
  const logits = want.get('logits') ?? [];
  expectClose('logits', await got.read('logits'), logits, 1e-4);
  expect(got.tensors.get('blocks.0')?.shape).toEqual([1, 8, 16, 17, 17]);
  expect(got.tensors.get('blocks.4.mean')?.shape).toEqual([1, 24, 16]);
  const stem = want.get('blocks.0') ?? [];
  const places = 16 * 17 * 17;
  const turned = Float32Array.from({ length: stem.length }, (_, i) => stem[(i % places) * 8 + Math.floor(i / places)]);
  expectClose('blocks.0', await got.read('blocks.0'), turned, 1e-4);
  await got.close();
});

test('run refuses frames that are too small for it', async () => {
  const args = ['run', '--model', 'x3d_m', '--weights', 'synthetic:1', '--input', 'synthetic:1', '--input_size', '160'];
  const { code, stderr } = await call([run], [...args, '--output', path.join(folder, 'none'), ...adapter]);
  expect({ code, stderr }).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('got 160, expected at least 193'),
  });
});
