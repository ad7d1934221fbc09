// The weights' file of an ONNX model, written once and kept.
import { existsSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { throwIfAborted } from '../../engine/errors.ts';
import { createFileSink } from '../../loaders/node-source.ts';
import { syntheticTensor } from '../../loaders/synthetic.ts';
import type { Parameter } from './onnx.ts';

export interface WeightsFileOptions {
  readonly seed: number;
  readonly signal: AbortSignal;
  /** Bytes of the file so far, of how many. */
  readonly onProgress: (done: number, total: number) => void;
}

/**
 * Writes synthetic weights to `file` as `parameters` lay them out, unless that is there already; what the file holds is noted in
 * `file`.json beside it. Throws bad-input when the file cannot be written and the signal's reason once that is aborted.
 */
export async function writeOnnxWeights(
  file: string,
  parameters: ReadonlyMap<string, Parameter>,
  { seed, signal, onProgress }: WeightsFileOptions,
): Promise<void> {
  const layout = JSON.stringify({ rule: `synthetic:${seed}`, parameters: [...parameters.values()] });
  const note = `${file}.json`;
  if (existsSync(file) && existsSync(note) && readFileSync(note, 'utf8') === layout) return;
  const total = Math.max(...[...parameters.values()].map(({ offset, byteLength }) => offset + byteLength));
  const sink = await createFileSink(file);
  try {
    let written = 0;
    for (const parameter of parameters.values()) {
      throwIfAborted(signal);
      await sink.write(new Uint8Array(parameter.offset - written));
      const values = arrange(parameter, syntheticTensor(seed, parameter.key, parameter.keyShape));
      await sink.write(new Uint8Array(values.buffer));
      written = parameter.offset + parameter.byteLength;
      onProgress(written, total);
    }
    await rm(note, { force: true }); // it must never speak of another file
    await sink.finish();
  } catch (error) {
    await sink.abort();
    throw error;
  }
  await writeFile(note, layout);
}

/** The rows that a parameter takes of its tensor, [N, ...], or these transposed, [K, N]. */
export function arrange(
  { firstRow, transposed, keyShape, byteLength }: Parameter,
  tensor: Float32Array<ArrayBuffer>,
): Float32Array<ArrayBuffer> {
  const k = tensor.length / keyShape[0];
  const n = byteLength / 4 / k;
  const rows = tensor.slice(firstRow * k, (firstRow + n) * k);
  if (!transposed) return rows;
  const columns = new Float32Array(rows.length);
  for (let row = 0; row < n; row++) for (let i = 0; i < k; i++) columns[i * n + row] = rows[row * k + i];
  return columns;
}
