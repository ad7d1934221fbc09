// How the names of a network's tensors begin in a checkpoint. Wrappers put a word before each (`module.` of DataParallel, `_orig_mod.` of
// torch.compile, `model.` of Lightning), perhaps several; what all tensors of the network share means nothing and is dropped.
import { quoteName, StamError } from '../engine/errors.ts';
import type { FitSource } from './fit.ts';

interface NamedTensors {
  readonly name: string;
  readonly tensors: ReadonlyMap<string, unknown>;
  /** Where else in the file tensors lie. */
  readonly otherKeys?: readonly string[] | undefined;
}

/** Tensors that every checkpoint of a family has, and that together no other network has. */
export interface Landmarks {
  readonly family: string;
  readonly tensors: readonly [string, string];
}

export const stamLandmarks: Landmarks = { family: 'STAM', tensors: ['cls_token', 'aggregate.pos_embed'] };
export const x3dLandmarks: Landmarks = {
  family: 'X3D',
  tensors: ['blocks.0.conv.conv_xy.weight', 'blocks.5.proj.weight'],
};

/** Names in one message. */
const maxNames = 8;

/** Every beginning of names behind which the landmarks stand, with its dot: '' where names begin as they should. */
export function prefixesOf({ tensors }: NamedTensors, { tensors: [first, second] }: Landmarks): string[] {
  const names = [...tensors.keys()].filter((name) => name === first || name.endsWith(`.${first}`));
  return names
    .map((name) => name.slice(0, name.length - first.length))
    .filter((prefix) => tensors.has(prefix + second));
}

/** What to tell of a prefix that is dropped. */
export function prefixNotice({ name, tensors }: NamedTensors, prefix: string): string {
  const others = [...tensors.keys()].filter((tensor) => !tensor.startsWith(prefix));
  const ignored = others.length > 0 ? `; ignored, as they have none: ${listed(others)}` : '';
  return `${name}: the prefix ${quoteName(prefix)} of the names is dropped${ignored}`;
}

/**
 * A checkpoint in which no tensor is called `cls_token`, without the prefix that all tensors of a STAM share. Throws missing-tensor where
 * there is no STAM, and bad-checkpoint where there are several; both say which names there are.
 */
export function withoutPrefix(source: FitSource): FitSource {
  const prefix = onlyPrefix(source, stamLandmarks);
  if (prefix === '') return source;
  const isInside = (name: string) => name.startsWith(prefix);
  const rest = (name: string) => name.slice(prefix.length);
  return {
    name: source.name,
    metadata: source.metadata,
    notices: [prefixNotice(source, prefix)],
    tensors: new Map([...source.tensors].filter(([name]) => isInside(name)).map(([name, info]) => [rest(name), info])),
    read: (name, ...options) => source.read(prefix + name, ...options),
    order: () => source.order().filter(isInside).map(rest),
  };
}

/**
 * The one beginning of a network's names, '' where one of the landmarks begins as it should: what it lacks then is told by whoever reads
 * the others. Throws missing-tensor where there is none, and bad-checkpoint where there are several.
 */
export function onlyPrefix(source: NamedTensors, landmarks: Landmarks): string {
  const { name: file, tensors, otherKeys = [] } = source;
  const { family } = landmarks;
  if (landmarks.tensors.some((name) => tensors.has(name))) return '';
  const prefixes = prefixesOf(source, landmarks);
  if (prefixes.length === 1) return prefixes[0];
  if (prefixes.length > 1) {
    throw new StamError('bad-checkpoint', {
      where: file,
      problem: `there are several models of ${family} in the checkpoint`,
      got: `names that begin with ${listed(prefixes)}`,
      hint: `name one by the option \`key\`, for example ${quoteName(prefixes[prefixes.length - 1].slice(0, -1))}`,
    });
  }
  throw new StamError('missing-tensor', {
    where: `${file}: ${landmarks.tensors[0]}`,
    problem: `the checkpoint lacks it, so it is no ${family}`,
    got: listed([...tensors.keys()]) || 'no tensors',
    hint:
      otherKeys.length > 0 ? `tensors lie under ${listed(otherKeys)}, too: name one by the option \`key\`` : undefined,
  });
}

/** The first few of many names. */
function listed(names: readonly string[]): string {
  const more = names.length - maxNames;
  return [...names.slice(0, maxNames).map(quoteName), ...(more > 0 ? [`and ${more} more`] : [])].join(', ');
}
