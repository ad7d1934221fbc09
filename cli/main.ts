// The process around `run`: signals, broken pipes, the exit. Not to be imported; it runs at once.
import { commands } from './commands.ts';
import { exitCodes, failureText, run } from './invoke.ts';

const { stdout, stderr } = process;
const debug = process.env['STAM_DEBUG'] === '1';
const controller = new AbortController();

process.on('SIGINT', () => {
  // the first asks the command to stop in good order, the second does not ask
  if (controller.signal.aborted) process.exit(exitCodes.interrupted);
  controller.abort(new DOMException('interrupted', 'AbortError'));
});

stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `stam ... | head` has read what it wanted
  if (error.code === 'EPIPE') process.exit(exitCodes.done);
  fail(error);
});
// without a reader of stderr there is nobody to tell; the results may still have one
stderr.on('error', () => {});
// covers rejections that nobody awaits, too
process.on('uncaughtException', fail);

process.exitCode = await run(process.argv.slice(2), { commands, stdout, stderr, debug, signal: controller.signal });
await Promise.all([stdout, stderr].map(flushed));
// Dawn's threads keep the event loop alive for as long as a device exists
process.exit();

function fail(error: unknown): never {
  stderr.write(`${failureText(undefined, error, debug)}\n`);
  process.exit(exitCodes.failed);
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}
