// The tensors that a configuration names, without a device: for synthetic checkpoints and for telling what a file lacks.
import type { Graph } from '../engine/graph.ts';
import type { Shape } from '../engine/shape.ts';
import type { StamConfig } from './config.ts';
import { stamGraph } from './stam.ts';

/** Every key of the official state_dict and its shape. */
export function weightShapes(config: StamConfig): Map<string, Shape> {
  return shapesOf(stamGraph(config, { videos: 1, storage: 'f32', framesPerPass: config.frames }));
}

/** The same, of a graph that is there already. */
export function shapesOf({ weights }: Graph): Map<string, Shape> {
  return new Map([...weights].map(([key, { shape }]) => [key, shape]));
}
