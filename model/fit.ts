// Whether a checkpoint has exactly the tensors that a model needs: all of them are looked at before any is read.
import { floatTypeBytes } from '../engine/dtype.ts';
import { quoteName, StamError, type StamErrorCode, throwIfAborted } from '../engine/errors.ts';
import { elementCount, formatBriefly, formatShape, type Shape, sameShape } from '../engine/shape.ts';
import type { TensorSource } from '../engine/weights.ts';
import type { StamConfig } from './config.ts';
import { describeConfig, identify } from './config.ts';
import { weightShapes } from './weights.ts';

/** A source of every tensor that a model needs, in its shape. */
export interface FittedSource extends TensorSource {
  /** What was made up for the checkpoint or left out of it, one sentence each. */
  readonly notices: readonly string[];
}

/** A checkpoint, or anything like one that may lack metadata. */
export type FitSource = TensorSource & {
  readonly metadata?: ReadonlyMap<string, string> | undefined;
  /** What was changed in it already, one sentence each. */
  readonly notices?: readonly string[] | undefined;
};

/** Tensors named in one message. */
const maxNamed = 8;

/** What the first version of the official code left out: its ViT was built with qkv_bias=False. */
const qkvBias = /^blocks\.\d+\.attn\.qkv\.bias$/;

/**
 * Compares the names, shapes and dtypes of a checkpoint with what `config` needs, which is `shapes`. Tensors of modules that STAM does not have are
 * ignored with a notice, as upstream does; biases that checkpoints of upstream's first version lack are zeros, with a notice.
 * Throws one error with everything else that does not fit: missing-tensor when a tensor is missing, else shape-mismatch, unsupported for
 * a dtype that is no float, or bad-checkpoint for tensors of STAM's own modules that this model does not have.
 */
export function fitCheckpoint(
  source: FitSource,
  config: StamConfig,
  shapes: ReadonlyMap<string, Shape> = weightShapes(config),
): FittedSource {
  const missing = [...shapes.keys()].filter((name) => !source.tensors.has(name));
  const zeros = new Map(isFirstVersion(missing, shapes) ? missing.map((name) => [name, shapes.get(name) ?? []]) : []);
  const notices = fitTensors(source, {
    family: 'STAM',
    model: describeConfig(config),
    shapes,
    isUnread: (name) => zeros.has(name),
    identify,
  });
  return withZeros(source, zeros, [
    ...(source.notices ?? []),
    ...(zeros.size > 0
      ? [`${source.name}: a checkpoint of STAM's first version: its qkv biases are taken as zeros`]
      : []),
    ...notices,
  ]);
}

/** What a network needs of a checkpoint. */
export interface Needs {
  /** `STAM` */
  readonly family: string;
  /** For messages: `stam_16`. */
  readonly model: string;
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Tensors that nothing reads: they may be missing, or of any dtype. */
  readonly isUnread: (name: string) => boolean;
  /** Which model of the family a checkpoint is, if it is one. */
  readonly identify: (checkpoint: FitSource) => string | undefined;
}

/** Throws as fitCheckpoint() does, which also says what is ignored; returns the notices of that. */
export function fitTensors(source: FitSource, needs: Needs): string[] {
  const { family, shapes, isUnread } = needs;
  const missing = [...shapes.keys()].filter((name) => !source.tensors.has(name) && !isUnread(name));
  const modules = new Set([...shapes.keys()].map(moduleOf));
  const extra = [...source.tensors.keys()].filter((name) => !shapes.has(name));
  const ignored = extra.filter((name) => !modules.has(moduleOf(name)));
  const faults = [
    ...missing.map((name) => missingFault(name, shapes)),
    ...[...shapes].flatMap(([name, shape]) => tensorFaults(name, shape, source, isUnread(name))),
    ...extra.filter((name) => modules.has(moduleOf(name))).map((name) => extraFault(name, source)),
  ];
  if (faults.length > 0) throw misfit(faults, source, needs);
  return ignored.length > 0 ? [ignoredNotice(ignored, source, family)] : [];
}

interface Fault {
  readonly code: StamErrorCode;
  readonly text: string;
}

/** The gravest first: an error has the code of the first that occurs. */
const codes: readonly StamErrorCode[] = ['missing-tensor', 'shape-mismatch', 'unsupported', 'bad-checkpoint'];

function isFirstVersion(missing: readonly string[], shapes: ReadonlyMap<string, Shape>): boolean {
  const biases = [...shapes.keys()].filter((name) => qkvBias.test(name));
  return missing.length === biases.length && missing.every((name) => qkvBias.test(name));
}

function missingFault(name: string, shapes: ReadonlyMap<string, Shape>): Fault {
  return { code: 'missing-tensor', text: `${name} is missing, expected ${formatShape(shapes.get(name) ?? [])}` };
}

function tensorFaults(name: string, shape: Shape, source: TensorSource, isUnread: boolean): Fault[] {
  const found = source.tensors.get(name);
  if (!found) return [];
  const type = `${found.dtype} ${formatBriefly(found.shape)}`;
  if (!sameShape(found.shape, shape)) {
    return [{ code: 'shape-mismatch', text: `${name} is ${type}, expected ${formatShape(shape)}` }];
  }
  if (isUnread || Object.hasOwn(floatTypeBytes, found.dtype)) return [];
  return [{ code: 'unsupported', text: `${name} is ${type}, expected ${Object.keys(floatTypeBytes).join(', ')}` }];
}

function extraFault(name: string, source: TensorSource): Fault {
  return { code: 'bad-checkpoint', text: `${describeTensor(name, source)} is not of this model` };
}

function misfit(faults: readonly Fault[], source: FitSource, { model, identify: ownName }: Needs): StamError {
  const isOf = ownName(source);
  const isAnother = isOf !== undefined && isOf !== model;
  const ordered = codes.flatMap((code) => faults.filter((fault) => fault.code === code));
  const count = faults.length === 1 ? '1 tensor does' : `${faults.length} tensors do`;
  return new StamError(ordered[0].code, {
    where: source.name,
    problem: `${count} not fit ${model}: ${list(ordered.map(({ text }) => text))}`,
    hint: isAnother ? `by its tensors the file is ${isOf}: take that model, or auto` : undefined,
  });
}

function ignoredNotice(names: readonly string[], source: TensorSource, family: string): string {
  const count =
    names.length === 1
      ? `1 tensor that ${family} does not have is`
      : `${names.length} tensors that ${family} does not have are`;
  return `${source.name}: ${count} ignored: ${list(names.map((name) => describeTensor(name, source)))}`;
}

/** The first few, and how many more there are. */
function list(texts: readonly string[]): string {
  const more = texts.length - maxNamed;
  return [...texts.slice(0, maxNamed), ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}

function describeTensor(name: string, { tensors }: TensorSource): string {
  const { dtype, shape } = tensors.get(name) ?? { dtype: '', shape: [] };
  return `${quoteName(name)} (${dtype} ${formatBriefly(shape)})`;
}

/** What a parameter stands under at the top of the model: `blocks` of `blocks.0.norm1.weight`. */
function moduleOf(name: string): string {
  return name.split('.', 1)[0];
}

/** The source with tensors of zeros after its own. */
function withZeros(source: TensorSource, zeros: ReadonlyMap<string, Shape>, notices: readonly string[]): FittedSource {
  const made = [...zeros].map(([name, shape]) => [name, { dtype: 'F32', shape }] as const);
  return {
    name: source.name,
    tensors: new Map([...source.tensors, ...made]),
    notices,
    async read(name, signal, allocate) {
      const shape = zeros.get(name);
      if (!shape) return await source.read(name, signal, allocate);
      throwIfAborted(signal);
      return new Float32Array(elementCount(shape));
    },
    order: () => [...source.order(), ...zeros.keys()],
  };
}
