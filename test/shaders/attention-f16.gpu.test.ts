import { testOperator } from './operator.ts';

testOperator('attention', ['f16']);
