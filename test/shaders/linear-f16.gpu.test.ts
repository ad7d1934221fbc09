import { testOperator } from './operator.ts';

testOperator('linear', ['f16']);
