// The process around `run`: signals, broken pipes, the exit. Not to be imported; it runs at once.
import { commands } from './commands.ts';
import { descriptorStream } from './descriptor.ts';
import { exitCodes, failureText, run } from './invoke.ts';

/** Milliseconds for a command to stop in good order once it is asked to. */
const patienceMs = 1000;

const debug = process.env['STAM_DEBUG'] === '1';
const controller = new AbortController();

// without a reader of stderr there is nobody to tell; the results may still have one
const stderr = descriptorStream(2, () => {});
const stdout = descriptorStream(1, (error) => {
  // `stam ... | head` has read what it wanted
  if (error.code === 'EPIPE') process.exit(exitCodes.done);
  fail(error);
});

process.on('SIGINT', () => {
  // the first asks the command to stop in good order, the second does not ask
  if (controller.signal.aborted) process.exit(exitCodes.interrupted);
  controller.abort(new DOMException('interrupted', 'AbortError'));
  // what does not listen, a driver that compiles for instance, is not waited for; children go with the process
  setTimeout(() => process.exit(exitCodes.interrupted), patienceMs).unref();
});
// covers rejections that nobody awaits, too
process.on('uncaughtException', fail);

// Dawn's threads keep the event loop alive for as long as a device exists
process.exit(await run(process.argv.slice(2), { commands, stdout, stderr, debug, signal: controller.signal }));

function fail(error: unknown): never {
  stderr.write(`${failureText(undefined, error, debug)}\n`);
  process.exit(exitCodes.failed);
}
