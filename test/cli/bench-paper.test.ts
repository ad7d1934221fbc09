// What stam bench --table paper refuses; none of it opens a device.
import { expect, test } from 'vitest';
import { bench } from '../../cli/bench.ts';
import { call } from './call.ts';

test.each([
  [['--table', 'paper', '--batch', '2'], /--batch: not with --table/],
  [['--table', 'paper', '--profile', 'x.json'], /--profile: not with --table/],
  [['--table', 'paper', '--weights', 'synthetic:2'], /--weights: not with --table, which takes synthetic:1/],
  [
    ['--table', 'paper', '--models', 'stam_8'],
    /--models: --table paper has no stam_8; expected x3d_m, x3d_l, x3d_xl, stam_16, stam_64/,
  ],
  [['--table', 'mine'], /--table/],
  [['--models', 'x3d_m'], /--models: x3d_m is measured with --table paper/],
])('bench refuses %j', async (args, message) => {
  const { code, stdout, stderr } = await call([bench], ['bench', '--adapter', 'voodoo', ...args]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(message);
});
