// Every call of an app's, with every call of WebGPU below it failing in every way it can: the app's call rejects with the code that the
// design has for it, soon; nothing is left in GPU memory, no error goes astray, and the next call gives the right logits.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StamError } from '../../engine/errors.ts';
import type { Stam } from '../../model/load.ts';
import { largestDifference } from '../close.ts';
import { modelTolerance } from '../model/fixtures.ts';
import { runsAll, sampleOf } from '../sample.ts';
import type { FaultKind, FaultyGpu, GpuCall } from './faulty-gpu.ts';
import { faultsOf, openFaultyGpu } from './faulty-gpu.ts';
import type { Material, Stage, Step } from './steps.ts';
import { load, openMaterial, steps } from './steps.ts';

/** What ends the waiting for a promise that never settles. */
type Ending = 'aborted' | 'disposed' | 'lost';

interface Case {
  readonly call: GpuCall;
  readonly n: number;
  readonly kind: FaultKind;
  readonly ending?: Ending | undefined;
}

/** Milliseconds from a fault to the rejection of the call, and, where nothing fails, to the end of one that may compile first. */
const soon = 5000;
const atLast = 120_000;
const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
/** Cases by step, fault and outcome. */
const table = new Map<string, number>();

let material: Material;
let faulty: FaultyGpu;
/** A model that stays on the device, with pipelines that others there need: what a step does not compile itself is compiled once. */
let keeper: Stam | undefined;
/** GPU objects of its own. */
let kept = 0;

beforeAll(async () => {
  process.on('unhandledRejection', note);
  faulty = await openFaultyGpu();
  material = await openMaterial(faulty.gpu);
});
afterAll(() => {
  process.off('unhandledRejection', note);
  keeper?.dispose();
  faulty.gpu.destroy();
  const rows = [...table].map(([key, count]) => `${key}${count > 1 ? ` (${count})` : ''}`);
  const total = [...table.values()].reduce((sum, count) => sum + count, 0);
  process.stdout.write(`${total} faults: step | fault -> outcome\n${rows.join('\n')}\n`);
});

/** Opens a device, with a keeper for steps that do not load. */
async function replaceGpu(step: Step): Promise<void> {
  faulty = await openFaultyGpu();
  await keepFor(step);
}

async function keepFor(step: Step): Promise<void> {
  keeper?.dispose();
  keeper = step.loads ? undefined : await load({ faulty, material, stam: undefined, stream: undefined });
  kept = faulty.live;
}

async function begin(step: Step): Promise<Stage> {
  const stage: Stage = { faulty, material, stam: undefined, stream: undefined };
  if (!step.loads) stage.stam = await load(stage, { selfCheck: step.selfCheck ?? false });
  await step.setUp?.(stage);
  return stage;
}

function end({ stream, stam }: Stage): void {
  stream?.dispose();
  stam?.dispose();
}

/** What became of a call: its code or name, `right`, `wrong`, or `hangs`, which is no end soon after `fault`, or none at all. */
async function outcomeOf(
  step: Step,
  work: Promise<() => Promise<Float32Array>>,
  fault: Promise<void> = new Promise(() => {}),
): Promise<string> {
  const late = Promise.race([
    fault.then(() => new Promise<'hangs'>((resolve) => setTimeout(resolve, soon, 'hangs'))),
    new Promise<'hangs'>((resolve) => setTimeout(resolve, atLast, 'hangs')),
  ]);
  const told = work
    .then(async (verify) => {
      faulty.count();
      const got = await verify();
      return largestDifference(got, step.expected(material)).error < modelTolerance.f32 ? 'right' : 'wrong';
    })
    .catch((error: Error) => (error instanceof StamError ? error.code : error.name));
  return await Promise.race([told, late]);
}

/** The codes of DESIGN, section 6. `right` where nobody waits for the promise that never settles. */
function expectedOf(step: Step, { call, kind, ending }: Case): string[] {
  if (step.name.startsWith('encode') && kind === 'invalid') return ["the app's finish()"];
  if (ending) return [{ aborted: 'AbortError', disposed: 'disposed', lost: 'device-lost' }[ending], 'right'];
  if (kind === 'lost') return ['device-lost'];
  if (/^create(Buffer|Texture)$/.test(call) && kind !== 'invalid') return ['out-of-memory'];
  if (/^create(ShaderModule|BindGroupLayout|ComputePipelineAsync)$/.test(call)) {
    return step.selfCheck ? ['shader', 'right'] : ['shader'];
  }
  return ['limit'];
}

function endingsOf(step: Step, kind: FaultKind): (Ending | undefined)[] {
  if (kind !== 'stalls') return [undefined];
  return [
    ...(step.takesSignal ? ['aborted' as const] : []),
    ...(step.loads ? [] : ['disposed' as const]),
    ...(step.thorough ? ['lost' as const] : []),
  ];
}

/** The first, the last and one between of each call that the step makes. */
async function casesOf(step: Step): Promise<Case[]> {
  const stage = await begin(step);
  faulty.count();
  await step.act(stage);
  const { calls } = faulty;
  end(stage);
  return [...calls].flatMap(([call, count]) => {
    const all = [...new Set([0, Math.floor(count / 2), count - 1])];
    return faultsOf[call].flatMap((kind) =>
      endingsOf(step, kind).flatMap((ending) => {
        const isLoss = kind === 'lost' || ending === 'lost';
        if (isLoss && !step.thorough && call !== (calls.has('submit') ? 'submit' : 'createBuffer')) return [];
        return (isLoss ? [all[Math.floor(all.length / 2)]] : all).map((n) => ({ call, n, kind, ending }));
      }),
    );
  });
}

async function inject(step: Step, one: Case): Promise<void> {
  const { call, n, kind, ending } = one;
  const name = `${kind === 'stalls' ? `${call} stalls, then ${ending}` : `${call} ${kind}`}`;
  const what = `${step.name}, ${name} at ${n}`;
  const stage = await begin(step);
  const controller = new AbortController();
  faulty.arm(call, n, kind);
  const acting = step.act(stage, controller.signal);
  const failing = reached(() => faulty.hasFailed);
  const telling = outcomeOf(step, acting, failing);
  if (ending) {
    await Promise.race([telling, failing]);
    await Promise.race([telling, new Promise((resolve) => setTimeout(resolve, 20))]);
    // a call that does not wait for what stalls is over by now, or told of the ending all the same
    if (ending === 'aborted') controller.abort();
    else if (ending === 'disposed') end(stage);
    else faulty.gpu.destroy();
  }
  const outcome = await telling;
  faulty.count();
  table.set(`${step.name} | ${name} -> ${outcome}`, (table.get(`${step.name} | ${name} -> ${outcome}`) ?? 0) + 1);
  expect(expectedOf(step, one), what).toContain(outcome);

  const before = faulty;
  if (kind === 'lost' || ending === 'lost') await replaceDevice(step, stage);
  if (ending === 'disposed') {
    expect(await outcomeOf(step, step.act(stage)), what).toBe('disposed');
  } else {
    if (step.loads && outcome === 'right') end(stage);
    // a call that went well has done its part, a stream's last frame for instance
    if (before !== faulty || outcome === 'right') await step.setUp?.(stage);
    expect(await outcomeOf(step, step.act(stage)), `${what}: the next call`).toBe('right');
  }
  end(stage);
  for (const device of new Set([before, faulty])) {
    const own = device === faulty ? kept : 0;
    await reached(() => device.live === own); // programs are freed when their promises have settled
    expect(device.live, `${what}: GPU objects left`).toBe(own);
    expect(device.uncaptured, `${what}: errors that nobody took`).toEqual([]);
  }
  expect(unhandled, what).toEqual([]);
}

/** A new device for what comes next, and for the model, if there is one that was on the old. */
async function replaceDevice(step: Step, stage: Stage): Promise<void> {
  await faulty.gpu.lost;
  await replaceGpu(step);
  Object.assign(stage, { faulty });
  await stage.stam?.recover(faulty.gpu);
}

async function reached(condition: () => boolean): Promise<void> {
  for (const begin = performance.now(); !condition() && performance.now() - begin < atLast; ) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const all = steps.map((step) => [step.name, step] as const);
// what compiles, at each of its faults or for another device, takes minutes
const some = runsAll ? all : all.filter(([, { loads, thorough }]) => !loads && !thorough);
describe.each(sampleOf('calls of an app with every fault below them', some, 1))('%s', (_, step) => {
  test('fails as it should at every call of WebGPU', async () => {
    const failed: string[] = [];
    await keepFor(step);
    const cases = await casesOf(step);
    expect(cases.length).toBeGreaterThan(0);
    for (const one of cases) {
      await inject(step, one).catch((error: Error) => failed.push(error.message));
      if (faulty.uncaptured.length > 0 || faulty.live > kept) await replaceGpu(step); // the next case begins clean
    }
    expect(failed).toEqual([]);
  });
});
