// Layers as PyTorch has them: a module path, the weights behind it, and the operators that run them.
import type { StorageType } from '../engine/dtype.ts';
import type { Graph, Part, Value } from '../engine/graph.ts';
import type { Activation } from '../shaders/index.ts';
import { add, layerNorm, linear, panelLayout } from '../shaders/index.ts';

/** A weight matrix [N, K] (or a convolution's [N, ...]) for a matmul. */
export function matrix(graph: Graph, key: string, shape: readonly number[], storage: StorageType): Value {
  return graph.weight(key, shape, storage, panelLayout);
}

/** A small table that stays in f32 whatever the storage: biases, norms, positions. */
export function table(graph: Graph, key: string, shape: readonly number[]): Value {
  return graph.weight(key, shape, 'f32');
}

export interface DenseOptions {
  readonly activation?: Activation;
  readonly residual?: Value;
  readonly result?: StorageType;
  /** Where the weight and bias are, if not at NAME.weight and NAME.bias. */
  readonly weightKey?: string;
  readonly biasKey?: string;
}

/** torch.nn.Linear at the module path `name`: [..., K] -> [..., N]. */
export function dense(graph: Graph, name: string, input: Value, n: number, options: DenseOptions = {}): Value {
  const { weightKey = `${name}.weight`, biasKey = `${name}.bias`, ...fused } = options;
  const k = input.shape.at(-1) ?? 0;
  const weight = matrix(graph, weightKey, [n, k], input.storage);
  return linear(graph, input, { name, weight, bias: table(graph, biasKey, [n]), ...fused });
}

/**
 * The last dense layer of a residual branch, added to the stream that the branch left: one kernel, unless the branch's own result,
 * whose module path is `branch`, is to be kept.
 */
export function denseOntoResidual(
  graph: Graph,
  name: string,
  { branch, input, residual, part }: { branch: string; input: Value; residual: Value; part?: Part },
): Value {
  const n = residual.shape.at(-1) ?? 0;
  if (!graph.wants(branch)) return dense(graph, name, input, n, { residual });
  const result = graph.keepIfWanted(branch, dense(graph, name, input, n), part);
  return add(graph, residual, result, { name: `${branch} + residual` });
}

/** torch.nn.LayerNorm at the module path `name`. */
export function norm(
  graph: Graph,
  name: string,
  input: Value,
  options: { epsilon: number; firstTokenOnly?: boolean; into?: { value: Value; firstRow: number } },
): Value {
  const channels = [input.shape.at(-1) ?? 0];
  const weight = table(graph, `${name}.weight`, channels);
  return layerNorm(graph, input, { name, weight, bias: table(graph, `${name}.bias`, channels), ...options });
}
