// stam peers: this engine and onnxruntime on the same adapter, in turn.
import fs from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { installOnnxruntime } from '../bench/peers/install.ts';
import { interleave } from '../bench/peers/interleave.ts';
import { writeOnnxWeights } from '../bench/peers/onnx-weights.ts';
import { pinAdapter } from '../bench/peers/pin.ts';
import { Program } from '../bench/peers/program.ts';
import type { PeerReport } from '../bench/peers/report.ts';
import { peerTable, ratioOf } from '../bench/peers/report.ts';
import { stamOnnx } from '../bench/peers/stam-onnx.ts';
import { formatAdapter } from '../engine/device.ts';
import { cacheFolder } from '../engine/node-cache.ts';
import { version } from '../engine/version.ts';
import { configs, namedConfig } from '../model/config.ts';
import { adapterChoice, adapterOption, dtypeOption } from './adapter.ts';
import type { Context } from './command.ts';
import { defineCommand } from './command.ts';
import { referenceLogits } from './reference.ts';

/** Built beside the command. */
const childFile = fileURLToPath(new URL('peer.js', import.meta.url));

/** `stam peers [--adapter SUBSTRING]`, which is `npm run bench:peers`. */
export const peers = defineCommand({
  name: 'peers',
  summary: "measures this engine and onnxruntime's WebGPU provider in turn on one adapter",
  positionals: [],
  options: {
    model: {
      type: 'choice',
      choices: [...configs.keys()],
      default: 'stam_16',
      description: 'what both compute, with synthetic weights',
    },
    adapter: adapterOption,
    dtype: {
      ...dtypeOption,
      default: 'f32',
      description: 'how this engine stores numbers; onnxruntime gets an f32 model, so f32 compares like with like',
    },
    videos: {
      type: 'integer',
      minimum: 1,
      placeholder: 'N',
      description: 'timed videos of each; default 10 on a GPU after two that are not timed, 1 on a software adapter',
    },
    limit: {
      type: 'number',
      minimum: 1,
      default: 900,
      placeholder: 'SECONDS',
      description: 'what one video of onnxruntime may take; then it is ended, and the ratio is a lower bound',
    },
    json: { type: 'string', placeholder: 'FILE', description: 'writes the report as JSON' },
  },
  async run({ values, signal, stdout, log, progress }) {
    const { model } = values;
    const programs: Program[] = [];
    const start = (name: string, env: NodeJS.ProcessEnv) => {
      const program = new Program({ file: childFile, name, env, signal });
      programs.push(program);
      return program;
    };
    try {
      const pin = await pinAdapter(adapterChoice(values.adapter), (env) => start('stam-webgpu', env));
      log(`adapter: ${formatAdapter(pin.adapter)}; ${pin.description}`);
      const peer = await preparePeer(model, { signal, log, progress });
      const warmUpVideos = pin.adapter.software ? 0 : 2;
      const rows = await interleave(
        {
          model,
          reference: await referenceLogits(model, signal),
          videos: values.videos ?? (pin.adapter.software ? 1 : 10),
          warmUpVideos,
          driver: pin.driver,
          log,
        },
        [
          { program: start('stam-webgpu', pin.env), load: { model, dtype: values.dtype } },
          {
            program: start('onnxruntime-node', pin.env),
            load: { model, dtype: 'f32', peer },
            limitMs: values.limit * 1000,
          },
        ],
      );
      const [ours, theirs] = rows;
      const report: PeerReport = {
        version,
        date: new Date().toISOString(),
        adapter: pin.adapter,
        pinning: pin.description,
        model,
        programs: rows,
        warmUpVideos,
        ratio: ratioOf(ours, theirs),
      };
      stdout(peerTable(report));
      if (values.json !== undefined) await fs.writeFile(values.json, `${JSON.stringify(report, undefined, 1)}\n`);
    } finally {
      for (const program of programs) program.end();
    }
  },
});

/** Installs the peer and writes its two models and their weights, unless the cache has them. */
async function preparePeer(
  model: string,
  { signal, log, progress }: Pick<Context, 'signal' | 'log' | 'progress'>,
): Promise<{ folder: string; model: string; warmUpModel: string }> {
  const cache = path.join(cacheFolder(), 'peers');
  const folder = await installOnnxruntime(cache, { signal, log });
  const config = namedConfig(model);
  const weights = `${model}.weights`;
  const whole = stamOnnx(config, weights);
  // one layer of each transformer has every shader that the whole model needs
  const warmUp = stamOnnx({ ...config, depth: 1, temporalLayers: 1 }, weights, whole.parameters);
  const files = { model: path.join(cache, `${model}.onnx`), warmUpModel: path.join(cache, `${model}.warm-up.onnx`) };
  await fs.writeFile(files.model, whole.bytes);
  await fs.writeFile(files.warmUpModel, warmUp.bytes);
  let bar: ReturnType<typeof progress> | undefined;
  await writeOnnxWeights(path.join(cache, weights), whole.parameters, {
    seed: 1,
    signal,
    onProgress(done, total) {
      bar ??= progress("writing the peer's weights", total, 'bytes');
      bar.update(done);
    },
  });
  bar?.finish();
  return { folder, ...files };
}
