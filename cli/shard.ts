// Which part of a data set a process works on: --shard, or what the scheduler of a cluster tells its jobs.
import { UsageError } from './command.ts';

/** Of every `count` videos the one at `index`: video i belongs to shard i mod count. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

export const wholeDataSet: Shard = { index: 0, count: 1 };

/** `2/8`. Throws UsageError for anything that is no shard. */
export function parseShard(text: string, origin = '--shard'): Shard {
  const [, index, count] = /^(\d{1,7})\/(\d{1,7})$/.exec(text) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  if (shard.index < shard.count) return shard;
  throw new UsageError(`${origin}: not a shard; got '${text}', expected I/N with I from 0 to N - 1`);
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The shard of a job array: Slurm's SLURM_ARRAY_TASK_ID among SLURM_ARRAY_TASK_COUNT (arrays may begin anywhere and have steps), or a
 * Kubernetes Indexed Job's JOB_COMPLETION_INDEX among JOB_COMPLETIONS, which the job's author sets, since Kubernetes tells the index
 * only. Undefined outside of both. Throws UsageError where one half is missing: every job would do all the work.
 */
export function shardOfJob(environment: Environment): { readonly shard: Shard; readonly origin: string } | undefined {
  const slurm = environment['SLURM_ARRAY_TASK_ID'];
  if (slurm !== undefined) {
    const first = Number(environment['SLURM_ARRAY_TASK_MIN'] ?? 0);
    const step = Number(environment['SLURM_ARRAY_TASK_STEP'] ?? 1);
    const count = required(environment, 'SLURM_ARRAY_TASK_COUNT', 'SLURM_ARRAY_TASK_ID');
    const shard = parseShard(`${(Number(slurm) - first) / step}/${count}`, 'SLURM_ARRAY_TASK_ID');
    return { shard, origin: 'SLURM_ARRAY_TASK_ID' };
  }
  const job = environment['JOB_COMPLETION_INDEX'];
  if (job === undefined) return undefined;
  const count = required(environment, 'JOB_COMPLETIONS', 'JOB_COMPLETION_INDEX');
  return { shard: parseShard(`${job}/${count}`, 'JOB_COMPLETION_INDEX'), origin: 'JOB_COMPLETION_INDEX' };
}

function required(environment: Environment, name: string, given: string): string {
  const value = environment[name];
  if (value !== undefined) return value;
  throw new UsageError(
    `${name}: missing beside ${given}; set it to the number of jobs, or pass --shard I/N (0/1 for everything)`,
  );
}
