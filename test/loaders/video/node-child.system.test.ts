import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
import { type ChildOptions, runChild } from '../../../loaders/video/node-child.ts';

/** Runs a piece of JavaScript in a process of its own; stdout is collected. */
function runScript(script: string, options: Partial<ChildOptions> = {}) {
  const chunks: Uint8Array[] = [];
  const end = runChild(process.execPath, ['-e', script], {
    timeoutMs: 60_000,
    onOutput: (chunk) => chunks.push(chunk),
    ...options,
  });
  return { end, output: () => Buffer.concat(chunks).toString() };
}

/** Rejects the polite way to end; writes its process id first. */
const stubborn = `process.on('SIGTERM', () => {}); process.stdout.write(String(process.pid)); setInterval(() => {}, 1000);`;

/** Resolves to the id of a process that `stubborn` runs in, once it is up. */
function stubbornChild(options: Partial<ChildOptions> = {}) {
  let report = (_: number) => {};
  const started = new Promise<number>((resolve) => {
    report = resolve;
  });
  const { end } = runScript(stubborn, { onOutput: (chunk) => report(Number(chunk.toString())), ...options });
  return { end, started };
}

/** The module for a process of its own: as TypeScript it could not be imported there. */
async function bundled(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('../../../loaders/video/node-child.ts', import.meta.url))],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
  });
  return outputFiles[0].text;
}

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('a run', () => {
  test('that finds no file descriptor left fails by itself, with a hint', async () => {
    const script = `${await bundled()}
      const fs = require('node:fs');
      try { for (;;) fs.openSync('/dev/null'); } catch {}
      module.exports.runChild(process.execPath, ['-v'], { timeoutMs: 60000, onOutput() {} })
        .then(() => console.log('it ran'), ({ code, message }) => console.log(code, message));`;
    const chunks: Uint8Array[] = [];
    const limited = ['-c', 'ulimit -n 64; exec "$0" -e "$1"', process.execPath, script];
    const end = await runChild('sh', limited, { timeoutMs: 60_000, onOutput: (chunk) => chunks.push(chunk) });
    expect(end).toMatchObject({ ok: true, complaint: '' });
    expect(Buffer.concat(chunks).toString()).toMatch(/^bad-video .*cannot be started: spawn .* EMFILE; .*ulimit -n/);
  });

  test('hands over what the program writes', async () => {
    const { end, output } = runScript(`process.stdout.write('x'.repeat(1e6))`);
    expect(await end).toEqual({ ok: true, timedOut: false, status: 'exit status 0', complaint: '' });
    expect(output()).toBe('x'.repeat(1e6));
  });

  test('arguments arrive as they are', async () => {
    const hostile = ['a b', `"'`, '$(id)', '-x', '%d', 'ü\n', '*'];
    const chunks: Uint8Array[] = [];
    const script = 'process.stdout.write(JSON.stringify(process.argv.slice(1)))';
    const options = { timeoutMs: 60_000, onOutput: (chunk: Uint8Array) => chunks.push(chunk) };
    await runChild(process.execPath, ['-e', script, '--', ...hostile], options);
    expect(JSON.parse(Buffer.concat(chunks).toString())).toEqual(hostile);
  });

  test('stdin is closed', async () => {
    const { end, output } = runScript(
      `process.stdin.on('data', () => {}).on('end', () => process.stdout.write('end'))`,
    );
    await end;
    expect(output()).toBe('end');
  });

  test('says how it failed, with the last complaints', async () => {
    const script = `console.error('first'); console.error('[mov @ 0x55d0c8] bad \\u001b[31matom'); console.error('last'); console.error('last'); process.exit(3)`;
    const { end } = runScript(script);
    expect(await end).toEqual({
      ok: false,
      timedOut: false,
      status: 'exit status 3',
      complaint: '[mov] bad [31matom, last',
    });
  });

  test('keeps little of endless complaints, and every line is offered', async () => {
    let lines = 0;
    const script = `process.stderr.write('y'.repeat(1e6) + '\\n'); for (let i = 0; i < 1e4; i++) console.error('line ' + i)`;
    const { end } = runScript(script, { onComplaint: () => (lines += 1) });
    expect((await end).complaint).toBe('line 9998, line 9999');
    expect(lines).toBe(10_001);
  });

  test.each([0, Number.NaN, 2 ** 31])('a timeout of %d is refused', async (timeoutMs) => {
    const message = `timeoutMs: no such timeout; got ${timeoutMs}, expected 1 to 2147483647 ms`;
    await expect(runScript('', { timeoutMs }).end).rejects.toMatchObject({ code: 'bad-input', message });
  });

  test('one that a signal ended is no success', async () => {
    const { end } = runScript(`process.kill(process.pid, 'SIGKILL')`);
    expect(await end).toMatchObject({ ok: false, status: 'killed by SIGKILL' });
  });

  test('a program that is not there rejects', async () => {
    const run = runChild('/nowhere/ffmpeg', [], { timeoutMs: 1000, onOutput: () => {} });
    await expect(run).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('no process is left', () => {
  test('after an abort', async () => {
    const controller = new AbortController();
    const { end, started } = stubbornChild({ signal: controller.signal });
    const pid = await started;
    const reason = new DOMException('enough', 'AbortError');
    controller.abort(reason);
    await expect(end).rejects.toBe(reason);
    expect(isAlive(pid)).toBe(false);
  });

  test('after a timeout', async () => {
    let pid = 0;
    const { end } = stubbornChild({
      timeoutMs: 1000,
      onOutput(chunk) {
        pid = Number(chunk.toString());
      },
    });
    expect(await end).toMatchObject({ ok: false, timedOut: true, status: expect.stringMatching(/^killed by SIG/) });
    if (pid !== 0) expect(isAlive(pid)).toBe(false); // 0: it was too slow to say
  });

  test('after its output was refused', async () => {
    const failure = new Error('too much');
    let pid = 0;
    const { end } = runScript(`${stubborn} setInterval(() => process.stdout.write('more'), 1)`, {
      onOutput(chunk) {
        pid ||= Number(chunk.toString());
        throw failure;
      },
    });
    await expect(end).rejects.toBe(failure);
    expect(isAlive(pid)).toBe(false);
  });

  test('nothing starts on a signal that is aborted already', async () => {
    const { end, output } = runScript(`process.stdout.write('ran')`, { signal: AbortSignal.abort() });
    await expect(end).rejects.toMatchObject({ name: 'AbortError' });
    expect(output()).toBe('');
  });

  test('and no listener on the process, which has one for all of them', async () => {
    const before = process.listenerCount('exit');
    const runs = Array.from({ length: 12 }, () => runScript('').end);
    expect(process.listenerCount('exit')).toBe(before + 1);
    await Promise.all(runs);
    expect(process.listenerCount('exit')).toBe(before);
  });

  test('after the process that started it', async () => {
    const module = await bundled();
    const script = `${module}
      const onOutput = (chunk) => { process.stdout.write(chunk); process.exit(0); };
      module.exports.runChild(process.execPath, ['-e', ${JSON.stringify(stubborn)}], { timeoutMs: 60000, onOutput });`;
    const { end, output } = runScript(script);
    expect(await end).toMatchObject({ ok: true });
    await expect.poll(() => isAlive(Number(output())), { timeout: 60_000 }).toBe(false);
  });
});
