// onnxruntime-node with its WebGPU provider as one program of a comparison.
import { createRequire } from 'node:module';
import path from 'node:path';
import { unit } from '../../loaders/synthetic.ts';
import type { StamConfig } from '../../model/config.ts';
import { namedConfig } from '../../model/config.ts';
import { loadedLibraries } from './driver.ts';
import type { Runner, RunReply } from './protocol.ts';
import { stopwatch } from './stopwatch.ts';

/** The part of onnxruntime-node that is used. */
interface Onnxruntime {
  readonly env: { readonly versions?: { readonly node?: string } };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => unknown;
  readonly InferenceSession: { create(file: string, options: object): Promise<Session> };
}

interface Session {
  run(feeds: Readonly<Record<string, unknown>>): Promise<{ readonly logits: { readonly data: Float32Array } }>;
}

export function onnxruntimeRunner(): Runner {
  let run: ((session: 'model' | 'warmUpModel') => Promise<RunReply>) | undefined;
  return {
    async load({ model, peer }) {
      if (!peer) throw new Error('nothing says where it is installed');
      const require = createRequire(path.join(peer.folder, 'package.json'));
      const onnxruntime = require('onnxruntime-node') as Onnxruntime;
      const options = {
        executionProviders: ['webgpu'],
        // a node that its WebGPU provider cannot run is an error, not a part of the time that the CPU takes
        extra: { session: { disable_cpu_ep_fallback: '1' } },
      };
      const sessions = {
        // first, and kept: sessions share the compiled shaders for as long as one of them lives
        warmUpModel: await onnxruntime.InferenceSession.create(peer.warmUpModel, options),
        model: await onnxruntime.InferenceSession.create(peer.model, options),
      };
      run = (session) => runOnce(onnxruntime, sessions[session], namedConfig(model));
      const version = onnxruntime.env.versions?.node ?? 'unknown';
      return { version, dtype: 'f32', adapter: undefined, libraries: loadedLibraries() };
    },
    async warmUp() {
      if (!run) throw new Error('no model is loaded');
      return { ...(await run('warmUpModel')), logits: new Float32Array() };
    },
    async run() {
      if (!run) throw new Error('no model is loaded');
      return run('model');
    },
  };
}

async function runOnce(
  { Tensor }: Onnxruntime,
  session: Session,
  { frames, imageSize }: StamConfig,
): Promise<RunReply> {
  const pixels = unit(1, 'frames', frames * 3 * imageSize ** 2);
  const feeds = { frames: new Tensor('float32', pixels, [frames, 3, imageSize, imageSize]) };
  const { result, ms, cpuMs } = await stopwatch(() => session.run(feeds));
  return { ms, cpuMs, logits: Float32Array.from(result.logits.data) };
}
