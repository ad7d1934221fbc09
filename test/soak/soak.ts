// Operations by chance, some of them disturbed by chance, for as long as one likes. Whatever comes of an operation is compared: with the
// right logits, or with the errors that its disturbance may lead to.
import { requiredDevice } from '../../engine/device.ts';
import { StamError } from '../../engine/errors.ts';
import { requestNodeAdapter } from '../../engine/node-adapter.ts';
import type { FaultKind, GpuCall } from '../faults/faulty-gpu.ts';
import { FaultyGpu, faultsOf } from '../faults/faulty-gpu.ts';
import type { Random } from '../fuzz/random.ts';
import { Player } from './player.ts';
import type { Subject } from './subjects.ts';
import { openSubjects } from './subjects.ts';

const maxDevices = 2;
const maxPlayers = 4;
/** Milliseconds after which an operation hangs. A new device compiles everything anew. */
const hangs = 60_000;

const gpuErrors = ['limit', 'out-of-memory', 'shader'];

/** Counts by name. */
export type Counts = Map<string, number>;

export class Soak {
  readonly operations: Counts = new Map();
  readonly faults: Counts = new Map();
  readonly unexpected: string[] = [];
  readonly #adapter: string;
  readonly #subjects: readonly Subject[];
  readonly #devices: FaultyGpu[] = [];
  readonly #players: Player[] = [];
  /** Of the turn that runs. */
  readonly #steps: string[] = [];

  private constructor(adapter: string, subjects: readonly Subject[]) {
    this.#adapter = adapter;
    this.#subjects = subjects;
  }

  static async begin(adapter: string, random: Random): Promise<Soak> {
    const calm = await openDevice(adapter);
    const soak = new Soak(adapter, await openSubjects(calm.gpu, random));
    calm.gpu.destroy();
    return soak;
  }

  /** Bytes of GPU buffers of all models. */
  get gpuBytes(): number {
    return this.#players.reduce((sum, { stam }) => {
      const { weights, activations, staging } = stam.memory();
      return sum + weights + activations + staging;
    }, 0);
  }

  /** One operation. */
  async turn(random: Random): Promise<void> {
    const kinds: readonly (readonly [weight: number, name: string, act: (random: Random) => Promise<void>])[] = [
      [60, 'plain', (by) => this.#plain(by)],
      [15, 'fault', (by) => this.#fault(by)],
      [10, 'abort', (by) => this.#abort(by)],
      [4, 'dispose and load', (by) => this.#replace(by)],
      [2, 'dispose during a call', (by) => this.#disposeDuring(by)],
      [1, 'lose the device', (by) => this.#lose(by)],
    ];
    const [, name, act] = random.pick(kinds.flatMap((one) => Array.from({ length: one[0] }, () => one)));
    this.#steps.length = 0;
    let timer: NodeJS.Timeout | undefined;
    // the timer also keeps the process alive, which would end in silence if all that is left were a promise that nobody settles
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`hangs after ${this.#steps.join(', ')}`)), hangs);
    });
    try {
      await Promise.race([act(random), late]);
    } catch (error) {
      this.complain(name, error);
    } finally {
      clearTimeout(timer);
    }
    for (const device of this.#devices) {
      for (const message of device.uncaptured.splice(0)) this.complain(name, new Error(`nobody took: ${message}`));
    }
  }

  /** Disposes of everything; what is left then is unexpected. */
  async end(): Promise<void> {
    for (const player of this.#players.splice(0)) player.stam.dispose();
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const { live, gpu } of this.#devices.splice(0)) {
      if (live > 0) this.complain('end', new Error(`${live} GPU objects are left`));
      gpu.destroy();
    }
  }

  async #plain(random: Random): Promise<void> {
    await this.#operate(await this.#player(random), random);
  }

  /** An operation, or a load, in which a call of WebGPU fails; then the same kind of thing without. */
  async #fault(random: Random): Promise<void> {
    const player = await this.#player(random);
    const { device } = player;
    const call = random.pick(Object.keys(faultsOf) as GpuCall[]);
    const kind = random.pick(faultsOf[call].filter((one) => one !== 'lost'));
    const controller = new AbortController();
    const isLoad = random.chance(0.3);
    device.arm(call, random.below(random.pick([2, 12, 60])), kind);
    this.#steps.push(`${call} ${kind}`);
    if (isLoad) this.#steps.push(`loading ${player.subject.name}`);
    const ending = kind === 'stalls' ? setTimeout(() => controller.abort(), 100) : undefined;
    try {
      if (isLoad) (await Player.load(player.subject, device, random, controller.signal)).stam.dispose();
      else await this.#operate(player, random, controller.signal);
    } catch (error) {
      this.#expectCode(error, codesOf(kind));
    } finally {
      clearTimeout(ending);
      if (device.hasFailed) count(this.faults, `${call} ${kind}`);
      device.count();
    }
    await this.#operate(player, random);
  }

  async #abort(random: Random): Promise<void> {
    const player = await this.#player(random);
    const controller = new AbortController();
    const work = random.chance(0.2)
      ? Player.load(player.subject, player.device, random, controller.signal).then(({ stam }) => stam.dispose())
      : this.#operate(player, random, controller.signal);
    const settled = work.catch((error: unknown) => this.#expectCode(error, ['AbortError']));
    for (let turns = random.below(40); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    await settled;
    count(this.faults, 'aborted');
    await this.#operate(player, random);
  }

  async #replace(random: Random): Promise<void> {
    const player = await this.#player(random);
    this.#leave(player);
    await this.#operate(await this.#player(random), random);
  }

  async #disposeDuring(random: Random): Promise<void> {
    const player = await this.#player(random);
    const work = this.#operate(player, random).catch((error: unknown) => this.#expectCode(error, ['disposed']));
    for (let turns = random.below(40); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
    this.#leave(player);
    await work;
    count(this.faults, 'disposed during a call');
  }

  /** All models of the device are told, and go on on a new one. */
  async #lose(random: Random): Promise<void> {
    const { device } = await this.#player(random);
    const hit = this.#players.filter((player) => player.device === device);
    const works = hit.map((player) =>
      // what an app maps itself rejects with an AbortError
      this.#operate(player, random).catch((error: unknown) => this.#expectCode(error, ['device-lost', 'AbortError'])),
    );
    for (let turns = random.below(40); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
    device.gpu.destroy();
    const outcomes = await Promise.allSettled(works);
    count(this.faults, 'device lost');
    const fresh = await openDevice(this.#adapter);
    this.#devices.splice(this.#devices.indexOf(device), 1, fresh);
    for (const player of hit) {
      this.#steps.push(`recovery of ${player.subject.name}`);
      await player.recover(fresh);
      await this.#operate(player, random);
    }
    if (device.live > 0) throw new Error(`${device.live} GPU objects are left on a lost device`);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  async #operate(player: Player, random: Random, signal?: AbortSignal): Promise<void> {
    const name = random.pick(Object.keys(player.operations));
    this.#steps.push(`${name} of ${player.subject.name}`);
    await player.operations[name](random, signal);
    count(this.operations, name);
  }

  /** One of the players, who come and go. */
  async #player(random: Random): Promise<Player> {
    if (this.#players.length > 0 && (this.#players.length === maxPlayers || random.chance(0.9))) {
      return random.pick(this.#players);
    }
    if (this.#devices.length < maxDevices) this.#devices.push(await openDevice(this.#adapter));
    const subject = random.pick(this.#subjects);
    this.#steps.push(`loading ${subject.name}`);
    const player = await Player.load(subject, random.pick(this.#devices), random);
    count(this.operations, 'load');
    this.#players.push(player);
    return player;
  }

  #leave(player: Player): void {
    this.#players.splice(this.#players.indexOf(player), 1);
    player.stam.dispose();
  }

  #expectCode(error: unknown, codes: readonly string[]): void {
    const code = error instanceof StamError ? error.code : (error as Error).name;
    if (!codes.includes(code)) throw error;
  }

  /** Notes what nobody expected; the first ones are shown at once. */
  complain(name: string, error: unknown): void {
    const text = `${name}: ${error instanceof Error ? error.stack : error}`;
    this.unexpected.push(text.slice(0, 300));
    if (this.unexpected.length <= 20) process.stderr.write(`${text}\n`);
  }
}

function codesOf(kind: FaultKind): readonly string[] {
  return kind === 'stalls' ? ['AbortError'] : [...gpuErrors, 'AbortError'];
}

function count(counts: Counts, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

async function openDevice(name: string): Promise<FaultyGpu> {
  const { adapter } = await requestNodeAdapter(name);
  return new FaultyGpu(await adapter.requestDevice(requiredDevice(adapter)));
}
