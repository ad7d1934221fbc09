// A process that runs one program of a comparison: `node peer.js PROGRAM`, then tasks as messages. Not to be imported; it runs at once.
import { engineRunner } from './engine-runner.ts';
import { onnxruntimeRunner } from './onnxruntime-runner.ts';
import type { Answer, Message, Runner } from './protocol.ts';

const runner: Runner = process.argv[2] === 'stam-webgpu' ? engineRunner() : onnxruntimeRunner();

// without its parent it has nobody to work for
process.on('disconnect', () => process.exit());
process.on('message', async ({ task, request }: Message) => send(await answer(task, request)));

async function answer(task: Message['task'], request: Message['request']): Promise<Answer> {
  try {
    const perform = runner[task] as
      | ((request: unknown) => Promise<Extract<Answer, { reply: unknown }>['reply']>)
      | undefined;
    if (!perform) throw new Error(`${task}: this program has no such task`);
    return { reply: await perform(request) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

function send(message: Answer): void {
  process.send?.(message);
}
