// Every operator's cases, for the tests and for `stam selftest`.
import type { OperatorCase } from '../conformance.ts';
import { attentionCases } from './attention.cases.ts';
import { convolutionCases } from './convolutions.cases.ts';
import { matmulCases } from './matmul.cases.ts';
import { pointwiseCases } from './pointwise.cases.ts';
import { resampleCases } from './resample.cases.ts';
import { rowCases } from './rows.cases.ts';

export const operatorCases: readonly OperatorCase[] = [
  ...matmulCases,
  ...pointwiseCases,
  ...convolutionCases,
  ...attentionCases,
  ...rowCases,
  ...resampleCases,
];
