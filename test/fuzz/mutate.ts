// One input of the fuzzer: a file of the corpus, taken apart where its format is known, changed, and put together again.
import { bufferSource } from '../../loaders/source.ts';
import { openZip } from '../../loaders/zip.ts';
import { type ZipFile, zip } from '../loaders/torch-files.ts';
import { byteMutations, mutateZipRecord } from './byte-mutations.ts';
import type { SeedFile } from './corpus.ts';
import { mutateHeader } from './header-mutations.ts';
import { mutateTokens, tokens } from './pickle-mutations.ts';
import { putInteger, type Random } from './random.ts';

/** A file that can be changed where it matters. */
export interface Specimen extends SeedFile {
  readonly mutateInside: (random: Random) => Uint8Array<ArrayBuffer>;
}

export async function specimenOf(seed: SeedFile): Promise<Specimen> {
  return { ...seed, mutateInside: await insideOf(seed) };
}

async function insideOf({ name, bytes }: SeedFile): Promise<Specimen['mutateInside']> {
  if (name.endsWith('.safetensors')) return insideSafetensors(bytes);
  return bytes[0] === 0x50 ? insideZip(bytes) : insideLegacy(bytes);
}

/** The pickle is changed and the archive made right again, or one entry is, or a record of the archive. */
async function insideZip(bytes: Uint8Array<ArrayBuffer>): Promise<Specimen['mutateInside']> {
  const archive = await openZip(bufferSource(bytes));
  const files: ZipFile[] = [];
  for (const { name, size } of archive.entries.values()) files.push({ name, data: await archive.read(name, 0, size) });
  const pickle = tokens(Uint8Array.from(files[0].data), 0, 1);
  return (random) => {
    if (random.chance(0.3)) return mutateZipRecord(bytes, random);
    const changed = [...files];
    if (random.chance(0.9)) changed[0] = { ...files[0], data: joined(mutateTokens(pickle, random)) };
    else {
      const at = random.below(files.length);
      const { name, data } = files[at];
      if (random.chance(0.3)) changed.splice(at, 1);
      else if (random.chance(0.5)) changed[at] = { name, data: Uint8Array.from(data).slice(random.below(3)) };
      else changed.push({ name: random.pick([name, `${name}x`, `x/${name}`, 'x/constants.pkl', '../x']), data });
    }
    return zip(changed, { zip64: random.chance(0.9) });
  };
}

function insideLegacy(bytes: Uint8Array<ArrayBuffer>): Specimen['mutateInside'] {
  const pickles = tokens(bytes, 0, 5);
  const storages = bytes.subarray(joined(pickles).length);
  // the first three pickles are short and always the same: one in a hundred turns is enough for them
  const head = tokens(bytes, 0, 3);
  const body = pickles.slice(head.length);
  return (random) => {
    const changed = random.chance(0.01)
      ? [...mutateTokens(head, random), ...body]
      : [...head, ...mutateTokens(body, random)];
    return joined([...changed, storages]);
  };
}

function insideSafetensors(bytes: Uint8Array<ArrayBuffer>): Specimen['mutateInside'] {
  const end = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const json = new TextDecoder().decode(bytes.subarray(8, end));
  return (random) => {
    const header = new TextEncoder().encode(mutateHeader(json, random));
    const length = new Uint8Array(8);
    putInteger(length, 0, BigInt(header.length), 8);
    return joined([length, header, bytes.subarray(end)]);
  };
}

/** Changes a specimen inside, or its bytes, or first the one and then the other. */
export function mutate(specimen: Specimen, others: readonly Specimen[], random: Random): Uint8Array<ArrayBuffer> {
  let bytes = random.chance(0.7) ? specimen.mutateInside(random) : specimen.bytes;
  const turns = bytes === specimen.bytes ? 1 + random.below(3) : random.chance(0.1) ? 1 : 0;
  for (let turn = 0; turn < turns; turn++) {
    if (bytes.length > 0) bytes = random.pick(byteMutations)(bytes, random, random.pick(others).bytes);
  }
  return bytes;
}

function joined(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
