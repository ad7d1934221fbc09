import { testOperator } from './operator.ts';

testOperator('frameConv');
