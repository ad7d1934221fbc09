import { testOperator } from './operator.ts';

testOperator('resample');
