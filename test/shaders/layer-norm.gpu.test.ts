import { testOperator } from './operator.ts';

testOperator('layerNorm');
