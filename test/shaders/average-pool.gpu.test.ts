import { testOperator } from './operator.ts';

testOperator('averagePool');
