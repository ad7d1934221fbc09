import { testOperator } from './operator.ts';

testOperator('assembleTokens');
