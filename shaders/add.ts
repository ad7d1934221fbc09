// add: the sum of two tensors of one shape, where no matmul is at hand to take it into its epilogue.
import type { Graph, Value } from '../engine/graph.ts';
import { linearGrid } from '../engine/kernel.ts';
import { elementCount, quads, rowCount, rowLength } from '../engine/shape.ts';
import source from './add.wgsl';
import { addRow } from './definitions.ts';
import { expectTensor } from './expect.ts';
import { fewRows } from './few-rows.ts';
import { storageOf } from './storage.ts';

/** left + right: [...] and [...] -> [...]. Throws shape-mismatch when they differ in shape or storage type. */
export function add(graph: Graph, left: Value, right: Value, { name }: { readonly name: string }): Value {
  expectTensor(name, left, left.shape);
  expectTensor(name, right, left.shape, left.storage);
  const output = graph.activation(name, left.shape, left.storage);
  const count = rowCount(left.shape) * quads(rowLength(left.shape));
  graph.add({
    name,
    operator: 'add',
    inputs: { left, right },
    outputs: { output },
    flops: elementCount(left.shape),
    candidates: (capabilities) => {
      const storage = storageOf(left.storage, capabilities);
      return [
        {
          name: 'add',
          variant: storage.label,
          source,
          imports: { storage: storage.text },
          constants: {},
          params: { count },
          workgroups: linearGrid(Math.ceil(count / 64)),
          features: storage.features,
        },
      ];
    },
    check: {
      shapes: { left: fewRows(left.shape), right: fewRows(left.shape) },
      build: (small, operands) => add(small, operands['left'], operands['right'], { name }),
      row: addRow(rowLength(left.shape)),
    },
  });
  return output;
}
