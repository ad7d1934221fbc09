// npm run soak -- [--minutes N] [--seed N] [--adapter NAME]
// Prints a report every minute, and a summary at the end. Exit 1 when anything unexpected happened or memory grew beyond the bounds.
import { parseArgs } from 'node:util';
import v8 from 'node:v8';
import vm from 'node:vm';
import { randomOf } from '../fuzz/random.ts';
import { Soak } from './soak.ts';

/**
 * What may be more at the end than after the warm-up, in bytes: JavaScript's memory, and the process's with all drivers. package.json sets
 * the C library to give back what is freed: left to itself it keeps twice as much as is in use, and up to 100 MB more or less by chance.
 */
const bounds = { javascript: 16e6, resident: 64e6 };

const text = { type: 'string' } as const;
const { values } = parseArgs({ options: { minutes: text, seed: text, adapter: text } });
const [minutes, seed] = [Number(values.minutes ?? 30), Number(values.seed ?? 1)];
if (!(minutes > 0 && Number.isInteger(seed))) throw new RangeError('--minutes and --seed want numbers');
const adapter = values.adapter ?? process.env['STAM_ADAPTER'] ?? 'software';

const write = (line: string) => process.stdout.write(`${line}\n`);
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
const total = (counts: ReadonlyMap<string, number>) => [...counts.values()].reduce((sum, one) => sum + one, 0);
const list = (counts: ReadonlyMap<string, number>) =>
  [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, one]) => `${name} ${one}`)
    .join(', ');

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;

/** Once all garbage is gone. */
async function memory(): Promise<{ javascript: number; resident: number }> {
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20)); // finalizers run in between
  }
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { javascript: heapUsed + arrayBuffers, resident: rss };
}

write(`seed ${seed}, adapter ${adapter}, ${minutes} minutes`);
const soak = await Soak.begin(adapter, randomOf(seed, 0));
const begin = performance.now();
const elapsed = () => (performance.now() - begin) / 60_000;
process.on('unhandledRejection', (reason) => soak.complain('nobody took', reason));

async function report(): Promise<void> {
  const { javascript, resident } = await memory();
  write(
    `${elapsed().toFixed(1)} min: ${total(soak.operations)} operations, ${total(soak.faults)} faults (${list(soak.faults)}); ` +
      `RSS ${megabytes(resident)}, JavaScript ${megabytes(javascript)}, GPU buffers ${megabytes(soak.gpuBytes)}, ` +
      `${soak.unexpected.length} unexpected`,
  );
}

/** Half of the time, up to three minutes, until there are as many models and devices as there may be. */
const warmUp = Math.min(3, minutes / 2);
let start: Awaited<ReturnType<typeof memory>> | undefined;
let reported = 0;
for (let index = 1; elapsed() < minutes; index++) {
  await soak.turn(randomOf(seed, index));
  if (!start && elapsed() > warmUp) start = await memory();
  if (elapsed() < reported + 1) continue;
  reported = Math.floor(elapsed());
  await report();
}
await report();
const { javascript, resident } = await memory();
await soak.end();

write(`operations: ${list(soak.operations)}`);
write(`faults: ${list(soak.faults)}`);
const grown = { javascript: javascript - (start?.javascript ?? 0), resident: resident - (start?.resident ?? 0) };
for (const kind of ['javascript', 'resident'] as const) {
  const [from, to] = [start?.[kind] ?? 0, { javascript, resident }[kind]].map(megabytes);
  const verdict = grown[kind] > bounds[kind] ? 'TOO MUCH' : `allowed ${megabytes(bounds[kind])}`;
  write(`${kind} memory: ${from} after the warm-up, ${to} at the end; grew by ${megabytes(grown[kind])}, ${verdict}`);
}
write(`${soak.unexpected.length} unexpected`);
const hasGrown = grown.javascript > bounds.javascript || grown.resident > bounds.resident;
process.exitCode = soak.unexpected.length > 0 || hasGrown ? 1 : 0;
