import { describe, expect, test } from 'vitest';
import { UsageError } from '../../cli/command.ts';
import { parseShard, shardOfJob } from '../../cli/shard.ts';

describe('parseShard', () => {
  test.each([
    ['0/1', { index: 0, count: 1 }],
    ['7/8', { index: 7, count: 8 }],
  ])('%s', (text, shard) => expect(parseShard(text)).toEqual(shard));

  test.each(['8/8', '-1/8', '1/0', '0/0', '1', '1/2/3', '', '1.5/2', ' 0/1', '0x1/2'])('refuses %j', (text) => {
    expect(() => parseShard(text)).toThrow(UsageError);
  });
});

describe('shardOfJob', () => {
  const slurm = { SLURM_ARRAY_TASK_ID: '13', SLURM_ARRAY_TASK_COUNT: '4' };
  const job = { JOB_COMPLETION_INDEX: '2', JOB_COMPLETIONS: '5' };

  test('is nothing outside of a job array', () => expect(shardOfJob({ SLURM_JOB_ID: '5' })).toBeUndefined());

  test('counts Slurm’s tasks from the first one, by the step', () => {
    expect(shardOfJob({ ...slurm, SLURM_ARRAY_TASK_MIN: '10' })?.shard).toEqual({ index: 3, count: 4 });
    const stepped = { ...slurm, SLURM_ARRAY_TASK_MIN: '1', SLURM_ARRAY_TASK_STEP: '4' };
    expect(shardOfJob(stepped)?.shard).toEqual({ index: 3, count: 4 });
  });

  test('refuses an array with gaps, in which no number is a shard', () => {
    expect(() => shardOfJob(slurm)).toThrow(/SLURM_ARRAY_TASK_ID: not a shard; got '13\/4'/);
  });

  test('takes the index of a Kubernetes Indexed Job', () => {
    expect(shardOfJob(job)).toEqual({ shard: { index: 2, count: 5 }, origin: 'JOB_COMPLETION_INDEX' });
  });

  test.each([
    [{ SLURM_ARRAY_TASK_ID: '0' }, /SLURM_ARRAY_TASK_COUNT: missing/],
    [{ JOB_COMPLETION_INDEX: '0' }, /JOB_COMPLETIONS: missing/],
  ])('refuses %j: without a count each job would do everything', (environment, message) => {
    expect(() => shardOfJob(environment)).toThrow(message);
  });
});
