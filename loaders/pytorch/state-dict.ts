// Where in what torch.save was given the weights are. Training scripts wrap them, and wrap the model itself.
import { StamError } from '../../engine/errors.ts';
import { kindOf, type PickleValue } from './pickle.ts';
import { TorchTensor } from './torch-pickle.ts';

export interface StateDict {
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  /** What stands beside them, by name. */
  readonly leftOut: readonly string[];
}

/** Keys that hold the weights beside other things, the first that does wins: STAM's own, Lightning's, pytorchvideo's, PyTorch's tutorials'. */
const wrappers = ['model', 'state_dict', 'model_state', 'model_state_dict'];

/** What DataParallel puts before each name. */
const parallelPrefix = 'module.';

/** Finds the tensors. Throws bad-checkpoint when there are none where they can be. */
export function findStateDict(root: PickleValue, file: string): StateDict {
  if (!(root instanceof Map)) throw noStateDict(file, kindOf(root));
  const wrapper = wrappers.find((key) => hasTensors(root.get(key)));
  const weights = wrapper === undefined ? root : root.get(wrapper);
  if (!(weights instanceof Map) || !hasTensors(weights)) {
    throw noStateDict(file, `a dict of ${listed([...root.keys()].map(keyName))}`);
  }
  const leftOut = weights === root ? [] : [...root.keys()].filter((key) => key !== wrapper).map(keyName);
  const found: [string, TorchTensor][] = [];
  for (const [key, value] of weights) {
    if (typeof key === 'string' && value instanceof TorchTensor) found.push([key, value]);
    else leftOut.push(wrapper === undefined ? keyName(key) : `${wrapper}.${keyName(key)}`);
  }
  const isParallel = found.every(([name]) => name.startsWith(parallelPrefix));
  const start = isParallel ? parallelPrefix.length : 0;
  return { tensors: new Map(found.map(([name, tensor]) => [name.slice(start), tensor])), leftOut };
}

function hasTensors(value: PickleValue | undefined): boolean {
  if (!(value instanceof Map)) return false;
  return [...value].some(([key, item]) => typeof key === 'string' && item instanceof TorchTensor);
}

function keyName(key: PickleValue): string {
  return typeof key === 'string' ? key : kindOf(key);
}

function noStateDict(file: string, got: string): StamError {
  return new StamError('bad-checkpoint', {
    where: file,
    problem: 'there is no state_dict in the checkpoint',
    got,
    expected: `a dict of tensors, or one under ${wrappers.join(', ')}`,
  });
}

/** The first few of many names, quoted: they come from a stranger. */
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 10).map((name) => JSON.stringify(name.slice(0, 60)));
  return [...shown, ...(names.length > 10 ? ['...'] : [])].join(', ') || 'nothing';
}
