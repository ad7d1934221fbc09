// Single errors such as people make, each in one line, and the tests that have to notice it.

export interface Mutation {
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly right: string;
  readonly wrong: string;
  /** What the mutated program does. */
  readonly error: string;
  /** Test files, of which at least one has to fail. */
  readonly tests: readonly string[];
  /** Of these files only the tests whose names fit this pattern; all by default. */
  readonly only?: string;
}

export const mutations: readonly Mutation[] = [
  {
    file: 'engine/slots.ts',
    right: 'last < tensor.first || tensor.last < first',
    wrong: 'last <= tensor.first || tensor.last <= first',
    error: 'a node writes into the memory that it reads',
    tests: ['test/engine/graph-plan.test.ts'],
  },
  {
    file: 'engine/dtype.ts',
    right: 'rest === 0.5 && floor % 2 === 1',
    wrong: 'rest === 0.5 && floor % 2 === 0',
    error: 'subnormal halves round half to odd',
    tests: ['test/engine/dtype.test.ts'],
  },
  {
    file: 'engine/self-check.ts',
    right: 'f32: 1e-4, f16: 1e-2',
    wrong: 'f32: 1e-1, f16: 1e-1',
    error: 'a kernel that is off by a percent passes the self-check',
    tests: ['test/engine/self-check.gpu.test.ts'],
  },
  {
    file: 'engine/layout.ts',
    right: 'dense.set(data.subarray(row * pitch, row * pitch + length), row * length);',
    wrong: 'dense.set(data.subarray(row * length, row * length + length), row * length);',
    error: 'rows with padding are read back shifted',
    tests: ['test/engine/weights.gpu.test.ts', 'test/model/run.gpu.test.ts'],
  },
  {
    file: 'loaders/safetensors-header.ts',
    right: 'if (bits / 8n !== BigInt(end - begin)) {',
    wrong: 'if (bits / 8n < BigInt(end - begin)) {',
    error: 'a tensor may have fewer bytes than its shape says',
    tests: ['test/loaders/safetensors-malformed.test.ts'],
  },
  {
    file: 'loaders/pytorch/tensor-view.ts',
    right: 'await read(start, start + (count - 1) * from + span);',
    wrong: 'await read(start, start + count * from);',
    error: 'a view of a storage reads past its end',
    tests: ['test/loaders/pytorch/pth.test.ts'],
  },
  {
    file: 'loaders/video/frame-choice.ts',
    right: 'const single = Math.fround(step);',
    wrong: 'const single = step;',
    error: 'frames are chosen in double precision, where torch has single',
    tests: ['test/loaders/video/frame-choice.test.ts'],
  },
  {
    file: 'model/preprocess.ts',
    right: 'floor + (floor % 2)',
    wrong: 'floor + 1',
    error: 'a crop between two pixels is rounded up, not to even',
    tests: ['test/model/preprocess.gpu.test.ts', 'test/model/run.gpu.test.ts'],
  },
  {
    file: 'model/config.ts',
    right: '  epsilon: 1e-5,',
    wrong: '  epsilon: 1e-6,',
    error: "timm's epsilon in place of STAM's",
    tests: ['test/model/config.test.ts', 'test/model/plan.test.ts'],
  },
  {
    file: 'shaders/attention-tile.wgsl',
    right: 'let shrink = exp(peaks[t] - peak);',
    wrong: 'let shrink = 1.0;',
    error: 'sums of earlier keys keep the scale of their own peak',
    tests: ['test/shaders/attention.gpu.test.ts'],
    only: 'f32 attention 1x65',
  },
  {
    file: 'shaders/layer-norm.wgsl',
    right: 'select(vec4f(0), x[i * UNIT + u] - mean, present((i * LANES + lane) * UNIT + u))',
    wrong: 'x[i * UNIT + u] - mean',
    error: 'the padding of a row counts in its variance',
    tests: ['test/shaders/layer-norm.gpu.test.ts'],
    only: 'f32 layerNorm',
  },
  {
    file: 'shaders/shared/activation-gelu.wgsl',
    right: 'vec4f(1.1283860)',
    wrong: 'vec4f(1.1290000)',
    error: 'GELU is off by the fourth digit',
    tests: ['test/shaders/linear.gpu.test.ts'],
    only: 'f32 linear .*calm',
  },
];
