// Subgroup matrices: the features that bring them. WebGPU has them as an experiment, which the draft of the standard calls subgroup_matrix
// and Chromium by a longer name; both are looked for. Which shapes a device multiplies, probe-matrices.ts finds out.

/** One shape of multiplication: left [m, k] by right [k, n], added to a sum [m, n] in f32. */
export interface MatrixShape {
  /** Type of the elements of left and right. */
  readonly component: 'f16' | 'f32';
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** The features that bring subgroup matrices, each with its names in WGSL. */
export const matrixFeatures = {
  'subgroup-matrix': { extension: 'subgroup_matrix', diagnostic: 'subgroup_matrix_uniformity' },
  'chromium-experimental-subgroup-matrix': {
    extension: 'chromium_experimental_subgroup_matrix',
    diagnostic: 'chromium.subgroup_matrix_uniformity',
  },
} as const;

/** The feature of a device that brings subgroup matrices, under whichever name. */
export function matrixFeature(features: ReadonlySet<string>): GPUFeatureName | undefined {
  return Object.keys(matrixFeatures).find((name) => features.has(name)) as GPUFeatureName | undefined;
}
