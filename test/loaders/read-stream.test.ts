// Streams of weights: what is read of them, and what is said of those that cannot be.
import { describe, expect, test } from 'vitest';
import { openWeights } from '../../loaders/open-weights.ts';

const header = '{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}';
const bytes = Uint8Array.of(header.length, 0, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode(header), 1, 2);

/** Gives these chunks one after another; `cancelled` has the reason once it was cancelled. */
function streamOf(...chunks: unknown[]) {
  const left = [...chunks];
  const cancelled: unknown[] = [];
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (left.length === 0) controller.close();
      else controller.enqueue(left.shift() as Uint8Array);
    },
    cancel: (reason) => void cancelled.push(reason),
  });
  return { stream, cancelled };
}

test('chunks of any length, and of none', async () => {
  const chunks = [...bytes].flatMap((byte) => [Uint8Array.of(byte), new Uint8Array(0)]);
  const checkpoint = await openWeights(streamOf(...chunks, new Uint8Array(0)).stream);
  expect(await checkpoint.readBytes('w')).toEqual(Uint8Array.of(1, 2));
});

describe('bad-input', () => {
  test('a stream that something else reads', async () => {
    const { stream } = streamOf(bytes);
    stream.getReader();
    await expect(openWeights(stream)).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining('the stream is locked'),
    });
  });

  test('a stream that was opened before, with what to pass instead', async () => {
    const { stream } = streamOf(bytes);
    await openWeights(stream);
    await expect(openWeights(stream)).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringMatching(/only once; .*recover\(\).* a Blob or bytes$/),
    });
  });

  test('a stream that breaks off, with the cause', async () => {
    const cause = new Error('line cut');
    const left = [bytes.subarray(0, 5)];
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = left.shift();
        if (!chunk) throw cause;
        controller.enqueue(chunk);
      },
    });
    await expect(openWeights(broken)).rejects.toMatchObject({
      code: 'bad-input',
      message: 'stream: the stream broke off after 5 bytes: line cut',
      cause,
    });
  });

  test.each([
    ['text', 'abc', 'String'],
    ['an ArrayBuffer', bytes.buffer, 'ArrayBuffer'],
    ['numbers of another type', new Float32Array(4), 'Float32Array'],
    ['null', null, 'Null'],
    ['undefined', undefined, 'Undefined'],
  ])('chunks that are %s; the stream is cancelled', async (_, chunk, got) => {
    const { stream, cancelled } = streamOf(bytes.subarray(0, 9), chunk, bytes);
    await expect(openWeights(stream)).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining(`no bytes; got ${got}, expected Uint8Array`),
    });
    expect(cancelled).toEqual([expect.objectContaining({ code: 'bad-input' })]);
  });
});

describe('a signal', () => {
  test('that was aborted before ends it at once, however long the stream would wait', async () => {
    const stalled = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) });
    const reason = new Error('own reason');
    await expect(openWeights(stalled, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('whose abort breaks the stream off is what it rejects with', async () => {
    const controller = new AbortController();
    const broken = new ReadableStream<Uint8Array>({
      pull() {
        controller.abort(new Error('own reason'));
        throw new Error('the transport has its own words');
      },
    });
    await expect(openWeights(broken, { signal: controller.signal })).rejects.toThrow('own reason');
  });
});
