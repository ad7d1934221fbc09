import { describe, expect, test } from 'vitest';
import { type Progress, progress } from '../../cli/progress.ts';

interface Setup {
  readonly label?: string;
  readonly total?: number;
  readonly unit?: string;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly begin?: number;
}

/** A bar whose clock is set by hand and whose stream is a list. */
function setUp({ label = 'read', total = 100, unit = 'videos', isTTY = false, columns = 80, begin = 0 }: Setup = {}) {
  const clock = { now: 5000 };
  const writes: string[] = [];
  const stream = { write: (text: string) => writes.push(text), isTTY, columns };
  const bar = progress(label, total, unit, { stream, now: () => clock.now, begin });
  const tick = (milliseconds: number, done: number, note?: string) => {
    clock.now += milliseconds;
    bar.update(done, note);
  };
  /** What came since the last call. */
  const taken = () => writes.splice(0).join('');
  return { bar, tick, taken };
}

describe('not on a terminal', () => {
  test('writes one line per 10 %, with rate and time left, and one at the end', () => {
    const { bar, tick, taken } = setUp();
    for (let done = 1; done <= 100; done++) tick(500, done);
    bar.finish();
    const lines = taken().split('\n');
    expect(lines).toHaveLength(11);
    expect(lines[0]).toBe('read: 10 %, 10 of 100 videos, 2 videos/s, 45 s left');
    expect(lines[8]).toBe('read: 90 %, 90 of 100 videos, 2 videos/s, 5 s left');
    expect(lines[9]).toBe('read: 100 %, 100 videos, in 50.0 s, 2 videos/s');
    expect(lines[10]).toBe('');
  });

  test('a leap over several tenths writes one line, and so does work that starts late', () => {
    const { bar, tick, taken } = setUp({ begin: 50 });
    tick(1000, 52);
    expect(taken()).toBe('');
    tick(1000, 84, 'x.mp4');
    expect(taken()).toBe('read: 84 %, 84 of 100 videos, 17 videos/s, 1 s left, x.mp4\n');
    tick(0, 83);
    tick(0, 85);
    expect(taken()).toBe('');
    bar.finish();
    expect(taken()).toBe('read: 100 %, 100 videos, in 2.00 s, 25 videos/s\n');
  });

  test('bytes are shown in MB', () => {
    const { bar, tick, taken } = setUp({ label: 'load', total: 40e6, unit: 'bytes' });
    tick(2000, 10e6);
    expect(taken()).toBe('load: 25 %, 10.0 MB of 40.0 MB, 5.00 MB/s, 6 s left\n');
    tick(0, 40e6);
    expect(taken()).toBe('');
    bar.finish();
    expect(taken()).toBe('load: 100 %, 40.0 MB, in 2.00 s, 20.0 MB/s\n');
  });

  test('a percentage is not one too low for want of binary fractions', () => {
    const { bar, tick, taken } = setUp();
    tick(0, 29);
    taken();
    bar.fail();
    expect(taken()).toBe('read: stopped at 29 %, 29 of 100 videos\n');
  });

  test('nothing to do is done at once', () => {
    const { bar, taken } = setUp({ total: 0 });
    bar.finish();
    expect(taken()).toBe('read: 100 %, 0 videos, in 0 s\n');
  });
});

describe('on a terminal', () => {
  const erase = '\r\x1b[2K';

  test('draws at once, then at most ten times a second', () => {
    const { tick, taken } = setUp({ isTTY: true });
    expect(taken()).toBe(`${erase}read  [${' '.repeat(20)}]    0 %  0 of 100 videos`);
    tick(99, 1);
    expect(taken()).toBe('');
    tick(1, 2);
    expect(taken()).toBe(`${erase}read  [${' '.repeat(20)}]    2 %  2 of 100 videos  20 videos/s  5 s left`);
    let draws = 0;
    for (let done = 3; done <= 100; done++) {
      tick(10, done);
      if (taken() !== '') draws++;
    }
    expect(draws).toBe(9);
  });

  test('a line never reaches the last column', () => {
    const { tick, taken } = setUp({ isTTY: true, columns: 30, label: 'a label of some length' });
    tick(500, 50, 'a note');
    for (const line of taken().split(erase)) expect(line.length).toBeLessThan(30);
  });

  test('a terminal that does not know its width still gets a bar', () => {
    expect(setUp({ isTTY: true, columns: 0 }).taken()).toContain('0 of 100 videos');
  });

  test('finish puts one line in place of the bar', () => {
    const { bar, tick, taken } = setUp({ isTTY: true });
    tick(4000, 80);
    taken();
    bar.finish();
    expect(taken()).toBe(`${erase}read: 100 %, 100 videos, in 4.00 s, 25 videos/s\n`);
  });

  test('clear gives the line free, and the next update draws again', () => {
    const { bar, tick, taken } = setUp({ isTTY: true });
    taken();
    bar.clear();
    expect(taken()).toBe(erase);
    bar.clear();
    expect(taken()).toBe('');
    tick(0, 1);
    expect(taken()).toContain('1 of 100');
  });

  test('a note cannot steer the terminal', () => {
    const { tick, taken } = setUp({ isTTY: true, columns: 200 });
    taken();
    tick(200, 1, 'a\n\x1b[2Jb');
    const drawn = taken().slice(erase.length);
    expect(drawn).toContain('a\\u000a\\u001b[2Jb');
    expect(drawn).not.toContain('\n');
  });
});

describe.each([true, false])('after the end (terminal: %s)', (isTTY) => {
  test.each([
    ['finish', (bar: Progress) => bar.finish(), /100 %/],
    ['fail', (bar: Progress) => bar.fail(), /read: stopped at 42 %, 42 of 100 videos\n$/],
  ])('%s leaves its line and nothing comes after it', (_, end, line) => {
    const { bar, tick, taken } = setUp({ isTTY });
    tick(1000, 42);
    taken();
    end(bar);
    expect(taken()).toMatch(line);
    tick(1000, 99);
    bar.clear();
    bar.finish();
    bar.fail();
    expect(taken()).toBe('');
  });
});
