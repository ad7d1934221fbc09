// Checkpoints as training tools leave them: where their weights are, and what stands before the names.
import fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { convert } from '../../cli/convert.ts';
import { inspect } from '../../cli/inspect.ts';
import { run } from '../../cli/run.ts';
import { createFileSink, fileSource } from '../../loaders/node-source.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { writeSafetensors } from '../../loaders/safetensors-writer.ts';
import { weightShapes } from '../../model/weights.ts';
import { x3dShapes } from '../../model/x3d-weights.ts';
import { dict, int, tensor, zip, zipFiles } from '../loaders/pytorch/torch-files.ts';
import { smallestConfig, smallestWeights } from '../model/fixtures.ts';
import { smallX3d } from '../model/x3d-fixture.ts';
import { call } from './call.ts';

let folder: string;
let output: string;
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(tmpdir(), 'stam-names-'));
  output = path.join(folder, 'out.safetensors');
});
beforeEach(() => fs.rm(output, { force: true }));
afterAll(() => fs.rm(folder, { recursive: true }));

/** A STAM, every element one and the same, with a prefix: as torch.save writes a state_dict, without its bytes. */
function stateDict(prefix = '', shapes: ReadonlyMap<string, readonly number[]> = weightShapes(smallestConfig)) {
  const expanded = [...shapes].map(([name, size]) => {
    return [prefix + name, tensor({ size, stride: size.map(() => 0) })] as const;
  });
  return dict(...expanded);
}

async function save(name: string, root: Parameters<typeof zipFiles>[0]): Promise<string> {
  const file = path.join(folder, name);
  await fs.writeFile(file, zip(zipFiles(root)));
  return file;
}

const identified = 'model: STAM of 2 frames, image 16, patch 8, 32 channels, depth 1, 5 classes\n';

describe('a prefix of all names', () => {
  test.each(['module.', '_orig_mod.', 'module._orig_mod.', 'model.'])(
    '%s is dropped with a notice from .pth',
    async (prefix) => {
      const file = await save('prefix.pth', dict(['state_dict', stateDict(prefix)], ['epoch', int(3)]));
      const { stdout, stderr } = await call([inspect], ['inspect', file]);
      expect(stdout).toContain(identified);
      expect(stderr).toBe(
        `${file}: left out, for it is no tensor of the model: epoch\n${file}: the prefix ${prefix} of the names is dropped\n`,
      );
      expect(await call([convert], ['convert', file, output])).toMatchObject({ code: 0 });
      const written = await openSafetensors(await fileSource(output));
      expect([...written.tensors.keys()].sort()).toEqual([...weightShapes(smallestConfig).keys()].sort());
      await written.close();
    },
  );

  test('is dropped from safetensors, and what has none is told', async () => {
    const file = path.join(folder, 'module.safetensors');
    const weights = smallestWeights();
    const tensors = [...weights.tensors].map(([name, { shape }]) => {
      return { name: `module.${name}`, dtype: 'F32', shape, data: () => weights.read(name) } as const;
    });
    const averaged = { name: 'n_averaged', dtype: 'F32', shape: [], data: () => Float32Array.of(7) } as const;
    await writeSafetensors(await createFileSink(file), [...tensors, averaged]);
    const { stdout, stderr } = await call([inspect], ['inspect', file]);
    expect(stdout).toContain(identified);
    expect(stderr).toBe(
      `${file}: the prefix module. of the names is dropped; ignored, as they have none: n_averaged\n`,
    );
    expect(await call([convert], ['convert', file, output])).toMatchObject({ code: 0 });
    const written = await openSafetensors(await fileSource(output));
    expect(written.tensors.has('n_averaged')).toBe(false);
    expect(await written.read('head.weight')).toEqual(await weights.read('head.weight'));
    await written.close();
  });

  test('of an X3D is dropped', async () => {
    const file = await save('x3d.pyth', dict(['model_state', stateDict('module.', x3dShapes(smallX3d))]));
    const { stdout, stderr } = await call([inspect], ['inspect', file]);
    expect(stdout).toMatch(/model: X3D of /);
    expect(stderr).toBe(`${file}: the prefix module. of the names is dropped\n`);
  });

  test('of no network that is known here is kept, and of two models neither is chosen', async () => {
    const other = await save('other.pth', dict(['model.a', tensor()], ['model.b', tensor()]));
    expect((await call([inspect], ['inspect', other])).stdout).toMatch(/^model\.a .*\nmodel\.b /m);
    const names = [...weightShapes(smallestConfig)];
    const both = ['student.', 'teacher.'].flatMap((prefix) =>
      names.map(([name, size]) => [prefix + name, size] as const),
    );
    const file = await save('two.pth', stateDict('', new Map(both)));
    const args = ['--weights', file, '--input', 'synthetic:1', '--output', output];
    const refused = await call([run], ['run', ...args]);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toMatch(/several models of STAM .*; name one by --key, for example teacher\n$/);
    expect((await call([inspect], ['inspect', file, '--key', 'teacher'])).stdout).toContain(identified);
  });
});

describe('--key', () => {
  test('names where the weights are; without it the message does', async () => {
    const file = await save('nested.pth', dict(['my_model', dict(['backbone', stateDict()])], ['step', tensor()]));
    const args = ['--weights', file, '--input', 'synthetic:1', '--output', output];
    const { code, stderr } = await call([run], ['run', ...args]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /cls_token: the checkpoint lacks it, so it is no STAM; got step; tensors lie under my_model\.backbone, too: name one by --key\n$/,
    );
    const listed = await call([inspect], ['inspect', file]);
    expect(listed.stdout).toContain('other tensors, for --key: my_model.backbone\n');
    const named = await call([inspect], ['inspect', file, '--key', 'my_model.backbone']);
    expect(named.stdout).toContain(identified);
    expect(named.stderr).toBe(`${file}: left out, for it is no tensor of the model: step\n`);
    expect(await call([convert], ['convert', file, output, '--key', 'my_model.backbone'])).toMatchObject({ code: 0 });
  });

  test('has no use with weights that are made by rule', async () => {
    const args = ['--model', 'stam_16', '--weights', 'synthetic:1', '--input', 'synthetic:1', '--output', output];
    const { code, stderr } = await call([run], ['run', ...args, '--key', 'x']);
    expect({ code, stderr }).toEqual({ code: 2, stderr: 'stam run: --key: not with synthetic weights\n' });
  });
});

test('the index of torch shards is read beside them', async () => {
  const names = [...weightShapes(smallestConfig).keys()];
  const fileOf = (i: number) => `pytorch_model-0000${(i % 2) + 1}-of-00002.bin`;
  for (const part of [0, 1]) {
    const shapes = [...weightShapes(smallestConfig)].filter((_, i) => i % 2 === part);
    await save(fileOf(part), stateDict('', new Map(shapes)));
  }
  const index = path.join(folder, 'pytorch_model.bin.index.json');
  await fs.writeFile(
    index,
    JSON.stringify({ weight_map: Object.fromEntries(names.map((name, i) => [name, fileOf(i)])) }),
  );
  const { stdout, stderr } = await call([inspect], ['inspect', index]);
  expect(stdout).toContain(identified);
  expect(stderr).toBe('');
});
