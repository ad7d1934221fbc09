import { testOperator } from './operator.ts';

testOperator('add');
