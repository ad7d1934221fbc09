// The examples, each run: what they compute is compared, the pages are opened.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mlp, runMlp } from '../../demo/examples/mlp.ts';
import { classifyImages, size, vit } from '../../demo/examples/vit.ts';
import type { Device } from '../../engine/device.ts';
import type { Graph } from '../../engine/graph.ts';
import { unpackBundledDriver } from '../../engine/node-adapter.ts';
import { openSynthetic, unit } from '../../loaders/synthetic.ts';
import { expectClose } from '../close.ts';
import { openTestDevice } from '../device.ts';
import * as reference from '../reference.ts';
import { longTest } from '../sample.ts';
import type { DemoSite } from './demo-site.ts';
import { newPage, openDemo, root } from './demo-site.ts';

/** Synthetic tensors for all that a graph names, and a way to look at them. */
function weightsOf(graph: Graph) {
  const checkpoint = openSynthetic(7, new Map([...graph.weights].map(([name, { shape }]) => [name, shape])));
  return { checkpoint, read: (name: string) => checkpoint.read(name) };
}

describe('networks of one’s own', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openTestDevice();
  });
  afterAll(() => device.dispose());

  test.each(['mlp', 'vit'])('%s takes fewer than 60 lines', (name) => {
    const text = readFileSync(path.join(root, `demo/examples/${name}.ts`), 'utf8');
    expect(text.trimEnd().split('\n').length).toBeLessThan(60);
  });

  test('mlp computes what plain loops do', async () => {
    const { checkpoint, read } = weightsOf(mlp(7));
    const x = unit(3, 'x', 7 * 20);
    const dense = async (name: string, input: ArrayLike<number>, k: number, activation?: 'gelu') =>
      reference.linear(input, await read(`${name}.weight`), {
        k,
        bias: await read(`${name}.bias`),
        ...(activation && { activation }),
      });
    const expected = await dense('fc2', await dense('fc1', x, 20, 'gelu'), 50);
    expectClose('y', await runMlp(device.gpu, checkpoint, x), expected, 1e-5);
  });

  test('vit computes what plain loops do', async () => {
    const { image, patch, channels, depth, heads } = size;
    const batch = 3;
    const { checkpoint, read } = weightsOf(vit(batch));
    const images = unit(5, 'images', batch * 3 * image * image);
    const tokens = (image / patch) ** 2 + 1;
    const dense = async (name: string, input: ArrayLike<number>, k: number, options: object = {}) =>
      reference.linear(input, await read(`${name}.weight`), { k, bias: await read(`${name}.bias`), ...options });
    const norm = async (name: string, input: ArrayLike<number>) =>
      reference.layerNorm(input, await read(`${name}.weight`), await read(`${name}.bias`), { epsilon: 1e-6 });
    const [weight, bias] = [await read('patch_embed.proj.weight'), await read('patch_embed.proj.bias')];
    const patches = reference.patchEmbed(images, weight, bias, { size: image, patch });
    let x = reference.assembleTokens(patches, await read('cls_token'), await read('pos_embed'), { channels });
    for (let i = 0; i < depth; i++) {
      const qkv = await dense(`blocks.${i}.attn.qkv`, await norm(`blocks.${i}.norm1`, x), channels);
      const mixed = reference.attention(qkv, { tokens, heads, dimension: channels / heads });
      x = await dense(`blocks.${i}.attn.proj`, mixed, channels, { residual: x });
      const normed = await norm(`blocks.${i}.norm2`, x);
      const hidden = await dense(`blocks.${i}.mlp.fc1`, normed, channels, { activation: 'gelu' });
      x = await dense(`blocks.${i}.mlp.fc2`, hidden, 4 * channels, { residual: x });
    }
    const first = Float64Array.from({ length: batch * channels }, (_, i) => {
      return x[Math.floor(i / channels) * tokens * channels + (i % channels)];
    });
    const expected = await dense('head', await norm('norm', first), channels);
    expectClose('logits', await classifyImages(device.gpu, checkpoint, images), expected, 1e-4);
    await device.gpu.queue.onSubmittedWorkDone(); // the app's device is still there
  });
});

longTest('node: three classes from a script of its own', async () => {
  const driver = unpackBundledDriver();
  if (driver === undefined) throw new Error('the package @sparticuz/chromium carries no driver for this machine');
  const script = path.join(root, 'dist', `.example-${process.pid}.mjs`);
  try {
    await build({
      absWorkingDir: root,
      entryPoints: ['demo/examples/node.ts'],
      outfile: script,
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      external: ['webgpu'],
      loader: { '.wgsl': 'text', '.txt': 'text' },
      define: { __VERSION__: '"example test"' },
      logLevel: 'warning',
    });
    // as a machine with no driver but the bundled one
    const icd = path.join(driver, 'vk_swiftshader_icd.json');
    const env = { ...process.env, VK_DRIVER_FILES: icd, LD_LIBRARY_PATH: driver };
    const { stdout } = await promisify(execFile)(process.execPath, [script], { env });
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length).toBe(3);
    for (const line of lines) expect(line).toMatch(/^[\w' ,()-]+: \d+\.\d %$/);
  } finally {
    await rm(script, { force: true });
  }
});

describe('pages', () => {
  let site: DemoSite;
  beforeAll(async () => {
    site = await openDemo();
  });
  afterAll(() => site?.close());

  longTest('share-device classifies what it draws, again and again', async () => {
    const { page, complaints } = await newPage(site);
    await page.goto(`${site.url}examples/share-device.html`);
    await page.waitForFunction(() => /^[3-9] videos/.test(document.querySelector('#status')?.textContent ?? ''));
    expect(complaints).toEqual([]);
    await page.close();
  });

  longTest('worker classifies while the page stays awake', async () => {
    const { page, complaints } = await newPage(site);
    await page.goto(`${site.url}examples/worker.html`);
    await page.waitForSelector('button:not([disabled])');
    const beats = async () => Number(await page.textContent('#beat'));
    const before = await beats();
    await page.click('button');
    await page.waitForFunction(() => /%.*%.*%/.test(document.querySelector('#answer')?.textContent ?? ''));
    expect(await beats()).toBeGreaterThan(before);
    expect(complaints).toEqual([]);
    await page.close();
  });
});
