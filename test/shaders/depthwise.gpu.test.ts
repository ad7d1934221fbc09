import { testOperator } from './operator.ts';

testOperator('depthwise');
