// A network of one's own on the engine: linear, GELU, linear, in one kernel each.
import type { TensorSource } from '../../index.ts'; // 'stam-webgpu' in your app
import { createPlan, Device, Graph, linear, Program, panelLayout, Weights } from '../../index.ts';

const [inputs, hidden, outputs] = [20, 50, 3];

/** The graph is data: nothing runs yet. `rows` inputs at a time: `x` [R, 20] -> `y` [R, 3]. */
export function mlp(rows: number): Graph {
  const graph = new Graph();
  const dense = (name: string, n: number, k: number) => ({
    name,
    weight: graph.weight(`${name}.weight`, [n, k], 'f32', panelLayout), // [N, K], as torch.nn.Linear keeps it
    bias: graph.weight(`${name}.bias`, [n], 'f32'),
  });
  const x = graph.input('x', [rows, inputs], 'f32');
  const h = linear(graph, x, { ...dense('fc1', hidden, inputs), activation: 'gelu' }); // [R, 50]
  graph.keep('y', linear(graph, h, dense('fc2', outputs, hidden)));
  return graph;
}

/** Runs it on a GPUDevice: `x` [R, 20] -> [R, 3]. Rows of 20 need no padding; see rowLayout for those that do. */
export async function runMlp(gpu: GPUDevice, weights: TensorSource, x: Float32Array<ArrayBuffer>) {
  const device = await Device.adopt(gpu);
  const plan = createPlan(mlp(x.length / inputs), device.capabilities); // kernels and memory for this very device
  const program = await Program.create(device, plan, await Weights.upload(device, weights, plan.weights));
  const y = (await program.run({ x })).get('y');
  device.dispose(); // frees what the engine made; the GPUDevice stays
  return y ?? new Float32Array();
}
