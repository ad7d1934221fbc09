// How many frames of a batch go through STAM's spatial transformer at a time, for people.
import type { Planner } from '../model/planner.ts';

/** `16 at a time (all there are); at most 128 by rule: eight videos fill the largest GPU` */
export function framesReason(planner: Planner, videos: number): string {
  const { frames, most, by } = planner.frames(videos);
  const all = frames === videos * planner.config.frames ? ' (all there are)' : '';
  const bound = frames < most && !all ? ' (no more fit a binding of this device)' : '';
  const { software } = planner.device.capabilities.adapter;
  const rule = software ? 'a processor gains nothing by more' : 'eight videos fill the largest GPU';
  const why = { option: 'as asked for', tuning: 'as measured', rule: `by rule: ${rule}` };
  return `${frames} at a time${all}${bound}; at most ${most} ${why[by]}`;
}
