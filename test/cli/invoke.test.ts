import { describe, expect, test } from 'vitest';
import { type Command, type Context, defineCommand, UsageError } from '../../cli/command.ts';
import { StamError } from '../../engine/errors.ts';
import { version } from '../../engine/version.ts';
import { call } from './call.ts';

/** A command named work that does what the test wants. */
function working(run: (context: Context) => Promise<void>): Command[] {
  return [{ name: 'work', summary: 'works', positionals: [], options: {}, run }];
}

const greet = defineCommand({
  name: 'greet',
  summary: 'greets somebody',
  positionals: [{ placeholder: 'WHO', description: 'whom to greet' }],
  options: { times: { type: 'integer', default: 1, minimum: 1, description: 'how often' } },
  async run({ values, positionals, stdout, log }) {
    log('greeting');
    stdout(`hello ${positionals[0]} `.repeat(values.times).trim());
  },
});

test('exit 0: the result on stdout, everything else on stderr', async () => {
  expect(await call([greet], ['greet', 'you', '--times=2'])).toEqual({
    code: 0,
    stdout: 'hello you hello you\n',
    stderr: 'greeting\n',
  });
});

test('help and version go to stdout', async () => {
  expect(await call([greet], ['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  for (const argv of [['--help'], ['-h']]) {
    const outcome = await call([greet], argv);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toContain('greet  greets somebody');
  }
  const outcome = await call([greet], ['greet', '--help']);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(outcome.stdout).toContain('--times N  how often (default: 1)');
});

describe('exit 2: bad usage', () => {
  test.each([
    [['gret', 'you'], "stam: unknown command 'gret'; did you mean 'greet'?\n"],
    [['dance'], "stam: unknown command 'dance'; expected one of greet\n"],
    [['constructor'], "stam: unknown command 'constructor'; expected one of greet\n"],
    [['--vesion'], "stam: unknown option '--vesion'; did you mean '--version'?\n"],
    [['--times', '3'], "stam: unknown option '--times'; options of a command stand after its name\n"],
    [['greet', 'you', '--tims', '3'], "stam greet: unknown option '--tims'; did you mean '--times'?\n"],
    [['greet', 'you', '--times=0'], "stam greet: --times: bad value; got '0', expected an integer of at least 1\n"],
    [['greet'], 'stam greet: WHO: missing; expected whom to greet\n'],
  ])('%j', async (argv, stderr) => {
    expect(await call([greet], argv)).toEqual({ code: 2, stdout: '', stderr });
  });

  test('no command at all shows the help, on stderr', async () => {
    const outcome = await call([greet], []);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toContain('Usage: stam COMMAND');
  });

  test('a command may find its own usage bad', async () => {
    const commands = working(() => Promise.reject(new UsageError('--a: not together with --b')));
    expect(await call(commands, ['work'])).toMatchObject({
      code: 2,
      stderr: 'stam work: --a: not together with --b\n',
    });
  });
});

describe('exit 1: failure', () => {
  const stamError = new StamError('bad-input', {
    where: 'f',
    problem: 'is bad',
    got: '1',
    expected: '2',
    hint: 'try 2',
  });
  test.each([
    ['a StamError', stamError, 'stam work: f: is bad; got 1, expected 2; try 2\n'],
    ['any other error', new TypeError('oh'), 'stam work: oh\n'],
    ['an error without message', new RangeError(), 'stam work: RangeError\n'],
    ['a thrown string', 'oh', 'stam work: oh\n'],
    ['a message of several lines', new Error('one\n two'), 'stam work: one (STAM_DEBUG=1 shows the rest)\n'],
    ['a message with escapes', new Error('\x1b[2Joh'), 'stam work: \\u001b[2Joh\n'],
    ['an AbortError nobody asked for', new DOMException('late', 'AbortError'), 'stam work: late\n'],
  ])('%s is one line', async (_, error, stderr) => {
    expect(
      await call(
        working(() => Promise.reject(error)),
        ['work'],
      ),
    ).toEqual({ code: 1, stdout: '', stderr });
  });

  test('an error thrown at once is no different', async () => {
    const commands = working(() => {
      throw new Error('oh');
    });
    expect(await call(commands, ['work'])).toMatchObject({ code: 1, stderr: 'stam work: oh\n' });
  });

  test('with debug the stack and the causes follow', async () => {
    const error = new Error('one\n two', { cause: new TypeError('root') });
    const { stderr } = await call(
      working(() => Promise.reject(error)),
      ['work'],
      { debug: true },
    );
    expect(stderr).toMatch(/^stam work: one\nError: one\n two\n {4}at .*\ncaused by:\nTypeError: root\n {4}at /s);
  });
});

describe('exit 130: interrupted', () => {
  test('a command that waits for the signal', async () => {
    const controller = new AbortController();
    const commands = working(
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
          controller.abort(new DOMException('interrupted', 'AbortError'));
        }),
    );
    const outcome = await call(commands, ['work'], { signal: controller.signal });
    expect(outcome).toEqual({ code: 130, stdout: '', stderr: 'stam work: interrupted\n' });
  });

  test('a command that stops early without a word', async () => {
    const controller = new AbortController();
    const commands = working(async () => controller.abort());
    expect(await call(commands, ['work'], { signal: controller.signal })).toMatchObject({ code: 130, stderr: '' });
  });
});

describe('the progress bar', () => {
  test('of a command that failed is ended before the message', async () => {
    const commands = working(async ({ progress }) => {
      progress('read', 10, 'files').update(3);
      throw new Error('oh');
    });
    const { stderr } = await call(commands, ['work']);
    expect(stderr).toBe('read: 30 %, 3 of 10 files\nread: stopped at 30 %, 3 of 10 files\nstam work: oh\n');
  });

  test('gives way to results and lines on a terminal', async () => {
    const commands = working(async ({ progress, log, stdout }) => {
      const bar = progress('read', 10, 'files');
      log('a line');
      bar.update(1);
      stdout('a result');
      bar.finish();
    });
    const { stderr } = await call(commands, ['work'], { isTTY: true });
    const erase = '\r\x1b[2K';
    const cells = ' '.repeat(20);
    expect(stderr).toBe(
      [
        `${erase}read  [${cells}]    0 %  0 of 10 files`,
        `${erase}a line\n`,
        `${erase}read  [==${cells.slice(2)}]   10 %  1 of 10 files`,
        erase,
        'read: 100 %, 10 files, in 0 s\n',
      ].join(''),
    );
  });
});
