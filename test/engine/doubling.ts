// An operator that anyone can check by eye, whose kernels are right or wrong, quick or slow, as a test wants them.
import type { Kernel } from '../../engine/kernel.ts';

/** So many rows of four elements each. */
export const rows = 4096;
const lanes = 64;

/**
 * output = 2 input, [rows, 4], unless `expression` says something else, in the rows where `condition` holds; slower by so many turns that
 * change nothing.
 */
export function doubling(tile: string, { expression = 'input[id.x] * 2', condition = 'true', turns = 1 } = {}): Kernel {
  return {
    name: 'double',
    tile,
    variant: tile,
    source: `
@group(0) @binding(0) var<storage, read> input: array<vec4f>;           // [R, 4]
@group(0) @binding(1) var<storage, read_write> output: array<vec4f>;    // [R, 4]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let value = ${expression};
  var idle = f32(id.x);
  for (var turn = 0u; turn < TURNS; turn++) { idle = fract(idle * 1.37 + 0.1); }
  if (${condition}) { output[id.x] = value + select(0.0, 1.0, idle > 2); }
}
`,
    imports: {},
    constants: { LANES: lanes, TURNS: turns },
    params: {},
    workgroups: [rows / lanes, 1, 1],
    features: [],
  };
}
