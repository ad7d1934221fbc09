// stam inspect: what a checkpoint holds. Reads no tensor, so it is quick for files of any size.
import { quoteName } from '../engine/errors.ts';
import type { Checkpoint } from '../loaders/checkpoint.ts';
import { identify } from '../model/config.ts';
import { identifyX3d } from '../model/x3d-config.ts';
import { checkpointFile, keyOption, openCheckpointFile } from './checkpoint-file.ts';
import { defineCommand } from './command.ts';
import { formatBytes, formatNumber, formatTable } from './table.ts';

/** `stam inspect FILE [--json]`. */
export const inspect = defineCommand({
  name: 'inspect',
  summary: 'lists the tensors of a checkpoint and says which known model it is',
  positionals: [{ placeholder: 'FILE', description: checkpointFile }],
  options: {
    key: keyOption,
    json: { type: 'flag', description: 'prints one JSON object instead of tables' },
  },
  async run({ values, positionals, signal, stdout, log }) {
    const [path] = positionals;
    const checkpoint = await openCheckpointFile(path, { key: values.key, signal, log });
    try {
      const report = describe(checkpoint);
      stdout(values.json ? JSON.stringify(report, undefined, 2) : reportText(report));
    } finally {
      await checkpoint.close();
    }
  },
});

/** What --json prints. */
export interface InspectReport {
  readonly file: string;
  /** null when no known model has these tensors. */
  readonly model: string | null;
  readonly totals: {
    readonly tensors: number;
    readonly elements: number;
    readonly bytes: number;
    readonly tensorsByDtype: Readonly<Record<string, number>>;
  };
  readonly metadata: Readonly<Record<string, string>>;
  /** What the file holds beside the tensors. */
  readonly leftOut: readonly string[];
  /** Where else in the file tensors lie, as --key would name it. */
  readonly otherKeys: readonly string[];
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly shape: readonly number[];
    readonly bytes: number;
  }[];
}

function describe(checkpoint: Checkpoint): InspectReport {
  const tensors = [...checkpoint.tensors.values()].map(({ name, dtype, shape, bytes }) => ({
    name,
    dtype,
    shape,
    bytes,
  }));
  const tensorsByDtype = new Map<string, number>();
  for (const { dtype } of tensors) tensorsByDtype.set(dtype, (tensorsByDtype.get(dtype) ?? 0) + 1);
  return {
    file: checkpoint.name,
    model: identify(checkpoint) ?? identifyX3d(checkpoint) ?? null,
    totals: {
      tensors: tensors.length,
      elements: sum(tensors.map(({ shape }) => shape.reduce((product, length) => product * length, 1))),
      bytes: sum(tensors.map(({ bytes }) => bytes)),
      tensorsByDtype: Object.fromEntries(tensorsByDtype),
    },
    metadata: Object.fromEntries(checkpoint.metadata),
    leftOut: checkpoint.leftOut,
    otherKeys: checkpoint.otherKeys ?? [],
    tensors,
  };
}

function reportText({ model, totals, metadata, otherKeys, tensors }: InspectReport): string {
  const tensorTable = formatTable(
    [{ title: 'tensor' }, { title: 'dtype' }, { title: 'shape' }, { title: 'size', align: 'right' }],
    tensors.map(({ name, dtype, shape, bytes }) => [name, dtype, `[${shape.join(', ')}]`, formatBytes(bytes)]),
  );
  const metadataTable = formatTable([{ title: 'metadata' }, { title: 'value' }], Object.entries(metadata));
  const dtypes = Object.entries(totals.tensorsByDtype).map(([dtype, count]) => `${formatNumber(count)} ${dtype}`);
  const inAll = `${formatNumber(totals.tensors)} tensors${dtypes.length > 0 ? ` (${dtypes.join(', ')})` : ''}`;
  return [
    ...(tensors.length > 0 ? [tensorTable, ''] : []),
    ...(Object.keys(metadata).length > 0 ? [metadataTable, ''] : []),
    `${inAll}, ${formatNumber(totals.elements)} elements, ${formatBytes(totals.bytes)}`,
    ...(otherKeys.length > 0 ? [`other tensors, for --key: ${otherKeys.map(quoteName).join(', ')}`] : []),
    `model: ${model ?? 'none that is known here'}`,
  ].join('\n');
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
