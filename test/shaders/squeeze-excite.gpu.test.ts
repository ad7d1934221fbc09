import { testOperator } from './operator.ts';

testOperator('squeezeExcite');
