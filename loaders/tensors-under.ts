// The part of a checkpoint whose names begin alike, by what follows in them. Wrappers of models put such prefixes before all names.
import { quoteName, StamError } from '../engine/errors.ts';
import type { Checkpoint, TensorInfo } from './checkpoint.ts';

/** Names in one message. */
const maxNames = 8;

/**
 * The tensors under `key`, which with a dot is what their names begin with. The rest is among what the checkpoint leaves out.
 * Throws bad-input when there are none.
 */
export function tensorsUnder(checkpoint: Checkpoint, key: string): Checkpoint {
  const prefix = `${key}.`;
  const all = [...checkpoint.tensors.values()];
  const inside = all.filter(({ name }) => name.startsWith(prefix));
  if (inside.length === 0) {
    throw new StamError('bad-input', {
      where: checkpoint.name,
      problem: 'no tensors lie under the key',
      got: quoteName(key),
      expected: `the beginning of names such as ${all
        .slice(0, maxNames)
        .map(({ name }) => quoteName(name))
        .join(', ')}`,
    });
  }
  const rest = (name: string) => name.slice(prefix.length);
  const renamed = inside.map((info): [string, TensorInfo] => [rest(info.name), { ...info, name: rest(info.name) }]);
  return {
    name: checkpoint.name,
    tensors: new Map(renamed),
    metadata: checkpoint.metadata,
    leftOut: [...checkpoint.leftOut, ...all.map(({ name }) => name).filter((name) => !name.startsWith(prefix))],
    otherKeys: checkpoint.otherKeys,
    read: (name, ...options) => checkpoint.read(prefix + name, ...options),
    readBytes: (name, ...options) => checkpoint.readBytes(prefix + name, ...options),
    order: () =>
      checkpoint
        .order()
        .filter((name) => name.startsWith(prefix))
        .map(rest),
    close: () => checkpoint.close(),
  };
}
