import { testOperator } from './operator.ts';

testOperator('linear');
