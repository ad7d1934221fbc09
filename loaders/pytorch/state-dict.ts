// Where in what torch.save was given the weights are. Training scripts wrap them, and wrap the model itself.
import { quoteName, StamError } from '../../engine/errors.ts';
import { kindOf, type PickleValue } from './pickle.ts';
import { TorchTensor } from './torch-pickle.ts';

export interface StateDict {
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  /** What stands beside them, by name. */
  readonly leftOut: readonly string[];
  /** Where else tensors lie, as `key` would name it. */
  readonly otherKeys: readonly string[];
}

/** Keys that hold the weights beside other things, the first that does wins: STAM's own, Lightning's, pytorchvideo's, PyTorch's tutorials'. */
const wrappers = ['model', 'state_dict', 'model_state', 'model_state_dict'];

// far beyond what training scripts nest and what a message should list; a hostile file has more of both
const maxDepth = 8;
const maxPlaces = 8;

type Dict = ReadonlyMap<PickleValue, PickleValue>;

/** A dict inside of the file, the keys that lead to it, and what the names in it that are meant begin with. */
interface Place {
  readonly dict: Dict;
  readonly path: readonly string[];
  readonly prefix: string;
}

/**
 * Finds the tensors: where `key` says, a path of keys with dots between them, which may end within the tensors' names; else where weights
 * usually are. Throws bad-checkpoint when there are none, bad-input when there are none under `key`; both say where there are some.
 */
export function findStateDict(root: PickleValue, file: string, key?: string): StateDict {
  if (!(root instanceof Map)) throw noStateDict(file, kindOf(root), []);
  const usual = usualPlace(root);
  const place = key === undefined ? usual : (follow(root, key) ?? (usual && follow(usual.dict, key, usual.path)));
  const others = tensorDicts(root, place?.dict);
  if (!place && key !== undefined) throw nothingUnder(file, key, others);
  if (!place) throw noStateDict(file, `a dict of ${listed([...root.keys()].map(keyName))}`, others);
  const { prefix, path } = place;
  const leftOut = passedBy(root, path);
  const tensors = new Map<string, TorchTensor>();
  for (const [name, value] of place.dict) {
    const isMeant = typeof name === 'string' && value instanceof TorchTensor && name.startsWith(prefix);
    if (isMeant) tensors.set(name.slice(prefix.length), value);
    else leftOut.push([...path, keyName(name)].join('.'));
  }
  return { tensors, leftOut, otherKeys: others };
}

/** The file's one state_dict, or the one that a training script put beside other things. */
function usualPlace(root: Dict): Place | undefined {
  const wrapper = wrappers.find((key) => countTensors(root.get(key)) > 0);
  const wrapped = wrapper === undefined ? undefined : root.get(wrapper);
  if (wrapper !== undefined && wrapped instanceof Map) return { dict: wrapped, path: [wrapper], prefix: '' };
  return countTensors(root) > 0 ? { dict: root, path: [], prefix: '' } : undefined;
}

/** Where a path of keys leads, if there are tensors. Keys may have dots themselves, so that there may be several ways to read it. */
function follow(dict: Dict, key: string, path: readonly string[] = []): Place | undefined {
  for (const [name, value] of dict) {
    if (typeof name !== 'string' || !(value instanceof Map)) continue;
    if (name === key && countTensors(value) > 0) return { dict: value, path: [...path, name], prefix: '' };
    const found = key.startsWith(`${name}.`) && follow(value, key.slice(name.length + 1), [...path, name]);
    if (found) return found;
  }
  const prefix = `${key}.`;
  return countTensors(dict, prefix) > 0 ? { dict, path, prefix } : undefined;
}

/** What lies beside the keys of a path, from the outermost dict inwards. */
function passedBy(root: Dict, path: readonly string[]): string[] {
  const names: string[] = [];
  let dict: PickleValue | undefined = root as Map<PickleValue, PickleValue>;
  for (const [depth, key] of path.entries()) {
    if (!(dict instanceof Map)) break;
    const others = [...dict.keys()].filter((other) => other !== key).map(keyName);
    names.push(...others.map((other) => [...path.slice(0, depth), other].join('.')));
    dict = dict.get(key);
  }
  return names;
}

/** Paths of the dicts that hold tensors by name, apart from `known`, those with the most first. Each dict is met once: it may hold itself. */
function tensorDicts(root: Dict, known: Dict | undefined): string[] {
  const met = new Set<PickleValue | Dict>([root]);
  const found: { path: string; count: number }[] = [];
  let level: { dict: Dict; path: string }[] = [{ dict: root, path: '' }];
  for (let depth = 0; depth < maxDepth; depth++) {
    const next: typeof level = [];
    for (const { dict, path } of level) {
      for (const [key, value] of dict) {
        if (typeof key !== 'string' || !(value instanceof Map) || met.has(value)) continue;
        met.add(value);
        const inner = { dict: value, path: path === '' ? key : `${path}.${key}` };
        const count = value === known ? 0 : countTensors(value);
        if (count > 0) found.push({ path: inner.path, count });
        next.push(inner);
      }
    }
    level = next;
  }
  found.sort((a, b) => b.count - a.count);
  return found.slice(0, maxPlaces).map(({ path }) => path);
}

/** Tensors in a dict whose names begin so. */
function countTensors(value: PickleValue | Dict | undefined, prefix = ''): number {
  if (!(value instanceof Map)) return 0;
  let count = 0;
  for (const [key, item] of value) {
    if (typeof key === 'string' && item instanceof TorchTensor && key.startsWith(prefix)) count++;
  }
  return count;
}

function keyName(key: PickleValue): string {
  return typeof key === 'string' ? key : kindOf(key);
}

function noStateDict(file: string, got: string, others: readonly string[]): StamError {
  return new StamError('bad-checkpoint', {
    where: file,
    problem: 'there is no state_dict in the checkpoint',
    got,
    expected: `a dict of tensors, or one under ${wrappers.join(', ')}`,
    hint:
      others.length > 0
        ? `tensors lie under ${others.map(quoteName).join(', ')}: name one by the option \`key\``
        : undefined,
  });
}

function nothingUnder(file: string, key: string, others: readonly string[]): StamError {
  return new StamError('bad-input', {
    where: file,
    problem: 'no tensors lie under the key',
    got: quoteName(key),
    expected: others.length > 0 ? `a key such as ${others.map(quoteName).join(', ')}` : undefined,
  });
}

/** The first few of many names, quoted: they come from a stranger. */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 10).map((name) => JSON.stringify(name.slice(0, 60)));
  return [...shown, ...(names.length > 10 ? ['...'] : [])].join(', ') || 'nothing';
}
