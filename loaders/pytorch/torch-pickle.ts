// What PyTorch's pickles may name, and what each of these names means: a tensor is a view of a storage, a storage is a key
// under which the container keeps bytes. Both stay descriptions here; no bytes are read.

import type { PickleValue, Refuse } from './pickle.ts';
import { kindOf, OrderedDict, PickleGlobal, PickleObject, type PickleRules, PickleTuple } from './pickle.ts';

/** The type of an element: its name, as safetensors spells it or would, and its size. */
export interface ElementType {
  readonly dtype: string;
  readonly bytes: number;
}

/** A run of elements that the container keeps under a key. Several tensors may share it. */
export class TorchStorage extends PickleObject {
  readonly key: string;
  readonly type: ElementType;
  /** All that lie under the key. */
  readonly elements: number;
  /** The part of them that is meant, in elements: files of old may keep views of storages. */
  readonly view: { readonly offset: number; readonly elements: number };

  constructor(key: string, type: ElementType, elements: number, view = { offset: 0, elements }) {
    super('a storage');
    this.key = key;
    this.type = type;
    this.elements = elements;
    this.view = view;
  }
}

/** A view of a storage. Offset and strides count elements of `type`; nothing has been checked but that all are counts. */
export class TorchTensor extends PickleObject {
  readonly storage: TorchStorage;
  readonly type: ElementType;
  readonly offset: number;
  readonly size: readonly number[];
  readonly stride: readonly number[];

  constructor(storage: TorchStorage, type: ElementType, [offset, size, stride]: TensorPlace) {
    super('a tensor');
    this.storage = storage;
    this.type = type;
    this.offset = offset;
    this.size = size;
    this.stride = stride;
  }
}

type TensorPlace = readonly [offset: number, size: readonly number[], stride: readonly number[]];

/** Everything else that calls may yield. Nobody asks what it is. */
const opaque = new PickleObject('an object');

const elementBytes = {
  ...{ F64: 8, F32: 4, F16: 2, BF16: 2, C64: 8, C128: 16 },
  ...{ I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 },
  ...{ F8_E4M3: 1, F8_E5M2: 1, F8_E4M3FNUZ: 1, F8_E5M2FNUZ: 1, F8_E8M0: 1 },
  ...{ QINT8: 1, QUINT8: 1, QINT32: 4 },
} as const;
type DType = keyof typeof elementBytes;

const storageTypes: ReadonlyMap<string, DType> = new Map([
  ['torch FloatStorage', 'F32'],
  ['torch HalfStorage', 'F16'],
  ['torch BFloat16Storage', 'BF16'],
  ['torch DoubleStorage', 'F64'],
  ['torch LongStorage', 'I64'],
  ['torch IntStorage', 'I32'],
  ['torch ShortStorage', 'I16'],
  ['torch CharStorage', 'I8'],
  ['torch ByteStorage', 'U8'],
  ['torch BoolStorage', 'BOOL'],
  ['torch ComplexFloatStorage', 'C64'],
  ['torch ComplexDoubleStorage', 'C128'],
  ['torch QInt8Storage', 'QINT8'],
  ['torch QUInt8Storage', 'QUINT8'],
  ['torch QInt32Storage', 'QINT32'],
  // counts bytes; the tensor says what they are
  ['torch.storage UntypedStorage', 'U8'],
]);

const dtypes: ReadonlyMap<string, DType> = new Map([
  ['torch float32', 'F32'],
  ['torch float16', 'F16'],
  ['torch bfloat16', 'BF16'],
  ['torch float64', 'F64'],
  ['torch float8_e4m3fn', 'F8_E4M3'],
  ['torch float8_e5m2', 'F8_E5M2'],
  ['torch float8_e4m3fnuz', 'F8_E4M3FNUZ'],
  ['torch float8_e5m2fnuz', 'F8_E5M2FNUZ'],
  ['torch float8_e8m0fnu', 'F8_E8M0'],
  ['torch int64', 'I64'],
  ['torch int32', 'I32'],
  ['torch int16', 'I16'],
  ['torch int8', 'I8'],
  ['torch uint64', 'U64'],
  ['torch uint32', 'U32'],
  ['torch uint16', 'U16'],
  ['torch uint8', 'U8'],
  ['torch bool', 'BOOL'],
  ['torch complex64', 'C64'],
  ['torch complex128', 'C128'],
]);

const functions = [
  'collections OrderedDict',
  'collections Counter',
  'torch._utils _rebuild_tensor_v2',
  'torch._utils _rebuild_tensor_v3',
  'torch._utils _rebuild_parameter',
  'torch._utils _rebuild_qtensor',
  'torch Size',
  'torch device',
  '__builtin__ set',
  'builtins set',
];

/** Arguments that are named and not called. */
const constants = ['per_tensor_affine', 'per_tensor_symmetric', 'per_channel_affine', 'per_channel_symmetric'];

/** The rules for names and calls. */
const torchRules: Pick<PickleRules, 'globals' | 'reduce'> = {
  globals: new Set([
    ...functions,
    ...storageTypes.keys(),
    ...dtypes.keys(),
    ...constants.map((name) => `torch ${name}`),
  ]),

  reduce(global, args, refuse) {
    switch (global) {
      case 'collections OrderedDict':
        return orderedDict(args, refuse);
      case 'torch._utils _rebuild_tensor_v2':
        checkCount(global, args, 6, 7, refuse);
        return new TorchTensor(...viewOf(args, storageOf(args[0], refuse).type, args[6], refuse));
      case 'torch._utils _rebuild_tensor_v3':
        checkCount(global, args, 7, 8, refuse);
        return new TorchTensor(...viewOf(args, dtypeOf(args[6], refuse), args[7], refuse));
      case 'torch._utils _rebuild_qtensor':
        checkCount(global, args, 7, 7, refuse);
        return new TorchTensor(...viewOf(args, quantisedType(args[0], refuse), null, refuse));
      case 'torch._utils _rebuild_parameter':
        checkCount(global, args, 3, 3, refuse);
        if (args[0] instanceof TorchTensor) return args[0];
        throw refuse('a parameter of what is no tensor', kindOf(args[0]));
      case 'torch Size':
        if (args.length === 1 && args[0] instanceof PickleTuple) return args[0];
        throw refuse('a torch.Size of what is no tuple');
      case 'torch device':
      case 'collections Counter':
      case '__builtin__ set':
      case 'builtins set':
        return opaque;
      default:
        throw refuse('a call of what is no function', global);
    }
  },
};

/**
 * The rules, and beside them every storage that is named, by key.
 * A key that stands for two different storages is refused: a reader would take the one that it met first.
 */
export function collectStorages(): { rules: PickleRules; storages: ReadonlyMap<string, TorchStorage> } {
  const storages = new Map<string, TorchStorage>();
  return {
    storages,
    rules: {
      ...torchRules,
      persistent(id, refuse) {
        const storage = torchStorage(id, refuse);
        const { key, type, elements } = storage;
        const before = storages.get(key) ?? storage;
        if (before.type.dtype !== type.dtype || before.elements !== elements) {
          const describe = (one: TorchStorage) => `${one.elements} elements of ${one.type.dtype}`;
          throw refuse('two storages have the same key', describe(storage), describe(before));
        }
        storages.set(key, before);
        return storage;
      },
    },
  };
}

/** `('storage', type, key, location, elements[, view])`. The location is a device of the machine that wrote the file. */
function torchStorage(id: readonly PickleValue[], refuse: Refuse): TorchStorage {
  const [kind, type, key, location, elements, view] = id;
  if (kind !== 'storage' || id.length < 5 || id.length > 6) throw refuse('a persistent id that is no storage');
  const dtype = type instanceof PickleGlobal ? storageTypes.get(type.name) : undefined;
  if (dtype === undefined) throw refuse('a storage of what is no storage type', kindOf(type));
  if (typeof key !== 'string') throw refuse('a storage whose key is no string', kindOf(key));
  if (typeof location !== 'string') throw refuse('a storage whose location is no string', kindOf(location));
  const count = countOf(elements, 'number of elements', refuse);
  return new TorchStorage(key, elementType(dtype), count, storageView(view, count, refuse));
}

/** `()`, or from Python 2 a list of pairs. */
function orderedDict(args: readonly PickleValue[], refuse: Refuse): OrderedDict {
  const dict = new OrderedDict();
  if (args.length === 0) return dict;
  const [pairs] = args;
  if (args.length > 1 || !Array.isArray(pairs)) throw refuse('an OrderedDict of what is no list of pairs');
  for (const pair of pairs) {
    const items = pair instanceof PickleTuple ? pair.items : pair;
    if (!Array.isArray(items) || items.length !== 2) throw refuse('an OrderedDict of what is no list of pairs');
    const [key, value] = items;
    if (typeof key !== 'string') throw refuse('an OrderedDict with a key that is no string', kindOf(key));
    if (dict.has(key)) throw refuse('a key is in a dict twice', JSON.stringify(key.slice(0, 200)));
    dict.set(key, value);
  }
  return dict;
}

/** The arguments (storage, offset, size, stride, ...) that all tensors begin with. */
function viewOf(
  args: readonly PickleValue[],
  type: ElementType,
  metadata: PickleValue | undefined,
  refuse: Refuse,
): [TorchStorage, ElementType, TensorPlace] {
  const [storage, offset, size, stride] = args;
  // the views that torch computes when they are read: conjugated or negated elements
  if (metadata !== undefined && metadata !== null) {
    const isPlain = metadata instanceof Map && [...metadata.values()].every((value) => value === false);
    if (!isPlain) throw refuse('a tensor whose elements are not what its storage holds', 'a conjugate or negated view');
  }
  const place: TensorPlace = [
    countOf(offset, 'storage offset', refuse),
    countsOf(size, 'size', refuse),
    countsOf(stride, 'stride', refuse),
  ];
  return [storageOf(storage, refuse), type, place];
}

/** (view key, offset, number of elements); all other storages have None or nothing there. */
function storageView(view: PickleValue | undefined, elements: number, refuse: Refuse) {
  if (view === undefined || view === null) return undefined;
  if (!(view instanceof PickleTuple) || view.items.length !== 3) throw refuse('a view of a storage that is none');
  const offset = countOf(view.items[1], 'offset of a view', refuse);
  const size = countOf(view.items[2], 'size of a view', refuse);
  if (offset + size > elements) {
    throw refuse('a view that leaves its storage', `[${offset}, ${offset + size})`, `inside [0, ${elements})`);
  }
  return { offset, elements: size };
}

function storageOf(value: PickleValue, refuse: Refuse): TorchStorage {
  if (value instanceof TorchStorage) return value;
  throw refuse('a tensor without a storage', kindOf(value));
}

/** Quantised numbers mean nothing without the scales, which are not kept: they must not pass for others. */
function quantisedType(storage: PickleValue, refuse: Refuse): ElementType {
  const { type } = storageOf(storage, refuse);
  if (type.dtype.startsWith('Q')) return type;
  throw refuse('a quantised tensor of plain numbers', type.dtype);
}

function dtypeOf(value: PickleValue, refuse: Refuse): ElementType {
  const dtype = value instanceof PickleGlobal ? dtypes.get(value.name) : undefined;
  if (dtype !== undefined) return elementType(dtype);
  throw refuse('a tensor of what is no dtype', kindOf(value));
}

function elementType(dtype: DType): ElementType {
  return { dtype, bytes: elementBytes[dtype] };
}

function countsOf(value: PickleValue, what: string, refuse: Refuse): number[] {
  if (!(value instanceof PickleTuple)) throw refuse(`a ${what} that is no tuple`, kindOf(value));
  return value.items.map((item) => countOf(item, what, refuse));
}

function countOf(value: PickleValue, what: string, refuse: Refuse): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw refuse(`a bad ${what}`, kindOf(value), 'an integer in 0..2^53-1');
}

function checkCount(global: string, args: readonly PickleValue[], least: number, most: number, refuse: Refuse): void {
  if (args.length >= least && args.length <= most) return;
  const expected = least === most ? `${least}` : `${least} or ${most}`;
  throw refuse(`a wrong number of arguments of ${global}`, `${args.length}`, expected);
}
