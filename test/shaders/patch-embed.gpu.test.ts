import { testOperator } from './operator.ts';

testOperator('patchEmbed');
