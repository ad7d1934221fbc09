// Files over HTTP, from a server on this machine: what is asked for, what is kept open, what ends it.
import { describe, expect, test, vi } from 'vitest';
import { httpSource } from '../../loaders/http-source.ts';
import { openSafetensors } from '../../loaders/safetensors.ts';
import { answer, breaking, type Misbehaviour, whole } from './http-server.ts';
import { failure, file, open, server } from './served-file.ts';

describe('a server that answers ranges', () => {
  test('tells the size, and gives any range', async () => {
    const source = await open();
    expect(source.size).toBe(3000);
    expect(source.name).toBe(server.url);
    for (const [start, end] of [
      [0, 3000],
      [17, 1333],
      [2999, 3000],
      [0, 1],
      [1, 2],
      [5, 5],
    ] as const) {
      expect(await source.read(start, end)).toEqual(file.slice(start, end));
    }
    await source.close();
  });

  test('is asked once, for a checkpoint that is read front to back', async () => {
    const names = Array.from({ length: 50 }, (_, i) => `blocks.${i}`);
    const infos = names.map((name, i) => [name, { dtype: 'F32', shape: [10], data_offsets: [40 * i, 40 * i + 40] }]);
    const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(infos)));
    server.file = new Uint8Array(8 + header.length + 2000);
    new DataView(server.file.buffer).setBigUint64(0, BigInt(header.length), true);
    server.file.set(header, 8);
    const data = Float32Array.from({ length: 500 }, (_, i) => i / 4);
    server.file.set(new Uint8Array(data.buffer), 8 + header.length);
    const checkpoint = await openSafetensors(await open());
    for (const [i, name] of checkpoint.order().entries()) {
      expect(await checkpoint.read(name)).toEqual(data.slice(10 * i, 10 * i + 10));
    }
    expect(server.ranges).toEqual(['bytes=0-']);
    await checkpoint.read('blocks.3');
    await checkpoint.read('blocks.4');
    expect(server.ranges).toEqual(['bytes=0-', `bytes=${8 + header.length + 120}-`]);
    await checkpoint.close();
  });

  test('reads into the memory that it is given', async () => {
    const source = await open();
    const memory = new Uint8Array(100);
    const read = await source.read(10, 60, undefined, (bytes) => memory.subarray(20, 20 + bytes));
    expect(read.buffer).toBe(memory.buffer);
    expect(memory.slice(20, 70)).toEqual(file.slice(10, 60));
    await source.close();
  });

  test('answers reads that overlap one after another', async () => {
    const source = await open();
    const ranges = [
      [100, 200],
      [0, 100],
      [200, 300],
      [300, 3000],
    ] as const;
    const reads = await Promise.all(ranges.map(([start, end]) => source.read(start, end)));
    expect(reads).toEqual(ranges.map(([start, end]) => file.slice(start, end)));
    expect(server.ranges).toEqual(['bytes=0-', 'bytes=100-', 'bytes=0-', 'bytes=200-']);
    await source.close();
  });

  test('may send the body in pieces of any size', async () => {
    server.misbehave = (_, response) => {
      response.writeHead(206, { 'content-range': 'bytes 0-2999/3000' });
      const send = (at: number) => {
        if (at >= file.length) response.end();
        else response.write(file.subarray(at, at + 700), () => setImmediate(send, at + 700));
      };
      send(0);
      return true;
    };
    const source = await open();
    for (let at = 0; at < 3000; at += 300) expect(await source.read(at, at + 300)).toEqual(file.slice(at, at + 300));
    expect(server.ranges).toHaveLength(1);
    await source.close();
  });

  test('may have an empty file', async () => {
    server.file = new Uint8Array(0);
    const source = await open();
    expect(source.size).toBe(0);
    expect(await source.read(0, 0)).toHaveLength(0);
    await source.close();
    server.misbehave = (_, response) => {
      response.writeHead(416, { 'content-range': 'bytes */0' });
      response.write('a page that never ends');
      return true;
    };
    expect((await open()).size).toBe(0);
    await vi.waitFor(() => expect(server.open()).toBe(0));
  });

  test('gets the headers of the request and those beside it, and nothing compressed', async () => {
    const request = new Request(server.url, { headers: { authorization: 'token', accept: 'a/b', range: 'bytes=5-6' } });
    const source = await httpSource(request, { headers: { accept: 'c/d', 'x-more': '1' } });
    expect(await source.read(0, 3000)).toEqual(file);
    expect(server.requests[0].headers).toMatchObject({
      authorization: 'token',
      accept: 'c/d',
      'x-more': '1',
      range: 'bytes=0-',
      'accept-encoding': 'identity',
    });
    await source.close();
  });

  test('is reached through the fetch that was given', async () => {
    const urls: string[] = [];
    const own: typeof fetch = (input, init) => {
      urls.push(input instanceof Request ? input.url : String(input));
      return fetch(input, init);
    };
    const source = await open({ fetch: own });
    expect(await source.read(1, 4)).toEqual(file.slice(1, 4));
    expect(urls).toEqual([server.url, server.url]);
    await source.close();
  });

  test('has one response open at a time, and none after close', async () => {
    // more than sockets hold, so that the server cannot finish before the client reads
    server.file = new Uint8Array(2 ** 24);
    const source = await open();
    await source.read(0, 10);
    expect(server.open()).toBe(1);
    for (const at of [2 ** 22, 0, 2 ** 23]) {
      await source.read(at, at + 10);
      await vi.waitFor(() => expect(server.open()).toBe(1));
    }
    await source.close();
    await source.close();
    await vi.waitFor(() => expect(server.open()).toBe(0));
    await expect(source.read(0, 10)).rejects.toEqual(failure('disposed', /^http:.*closed/));
  });
});

describe('a server without ranges', () => {
  test.each([
    ['with a Content-Length', { 'content-length': 3000 }],
    ['without', { 'transfer-encoding': 'chunked' }],
  ])('%s: the file is read whole, once, into memory', async (_, headers) => {
    server.misbehave = whole(file, headers);
    const source = await open({ maxBufferedBytes: 3000 });
    expect(source.size).toBe(3000);
    expect(source.name).toBe(server.url);
    expect(await source.read(2000, 3000)).toEqual(file.slice(2000));
    (await source.read(0, 10)).fill(0);
    expect(await source.read(0, 10)).toEqual(file.slice(0, 10));
    expect(server.ranges).toEqual(['bytes=0-']);
    await source.close();
    await expect(source.read(0, 10)).rejects.toEqual(failure('disposed', /closed/));
  });

  test.each([
    [
      { 'content-length': 3000 },
      2999,
      /no ranges.*got 3000 bytes, expected at most 2999; use a server that answers range/,
    ],
    [
      { 'transfer-encoding': 'chunked' },
      2999,
      /got \d+ bytes or more, expected at most 2999; .*raise maxBufferedBytes/,
    ],
    [{ 'content-length': 3000 }, 0, /expected at most 0/],
    [{ 'content-length': 999_999_999_999 }, undefined, /got 999999999999 bytes, expected at most 2147483648/],
  ])('%j is refused above the limit of %s', async (headers, maxBufferedBytes, message) => {
    server.misbehave = (_, response) => {
      response.writeHead(200, headers);
      response.write('transfer-encoding' in headers ? file : file.subarray(0, 100));
      return true; // and never ends: a refusal must not wait for the rest
    };
    await expect(open({ maxBufferedBytes })).rejects.toEqual(failure('unsupported', message));
    expect(server.ranges).toHaveLength(1);
    await vi.waitFor(() => expect(server.open()).toBe(0));
  });

  test('that compresses is refused', async () => {
    server.misbehave = whole(file, { 'content-encoding': 'br' });
    await expect(open()).rejects.toEqual(failure('unsupported', /got Content-Encoding: br/));
  });

  test('whose connection breaks is asked for all of it again', async () => {
    server.misbehave = (request, response, number) => {
      delete request.headers.range;
      return answer(server, request, response, number === 0 ? { cut: 1000 } : {});
    };
    const source = await open();
    expect(await source.read(0, 3000)).toEqual(file);
    expect(server.requests).toHaveLength(2);
    server.misbehave = whole(file, { 'content-length': 3000 });
    await expect(open({ fetch: breaking([1000, 1000, 1000]) })).rejects.toEqual(
      failure('bad-checkpoint', /^http:.*: the download broke off: reset; got 1000 bytes, expected 3000$/),
    );
    expect(server.requests).toHaveLength(5);
  });
});

/** Bytes that `new Uint8Array(length)` has given while `work` ran. */
async function bytesTaken(work: () => Promise<unknown>): Promise<number> {
  let bytes = 0;
  const construct = (target: typeof Uint8Array, args: unknown[]) => {
    if (typeof args[0] === 'number') bytes += args[0];
    return Reflect.construct(target, args);
  };
  vi.stubGlobal('Uint8Array', new Proxy(Uint8Array, { construct }));
  await work();
  vi.unstubAllGlobals();
  return bytes;
}

test.each([10, 1000, 65_536, 100_000])(
  'chunks of %i bytes, of a length not told, take twice the file',
  async (length) => {
    const large = Uint8Array.from({ length: 200_000 }, (_, i) => i * 7 + (i >> 8));
    const send: typeof fetch = async () => {
      let at = 0;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (at >= large.length) controller.close();
          else controller.enqueue(large.slice(at, at + length));
          at += length;
        },
      });
      return new Response(body);
    };
    let source = await open({ fetch: send });
    expect(Buffer.compare(await source.read(0, source.size), large)).toBe(0);
    const taken = await bytesTaken(async () => {
      source = await open({ fetch: send });
    });
    expect(source.size).toBe(large.length);
    // the file, and pieces of it of which one is not full
    expect(taken).toBeLessThanOrEqual(2 * large.length + 2 ** 16);
  },
);

describe('an abort', () => {
  const hang: Misbehaviour = (request, response) => {
    answerHead(request.headers.range, response);
    return true;
  };

  /** Headers and 100 bytes, and then nothing more. */
  function answerHead(range: string | undefined, response: Parameters<Misbehaviour>[1]): void {
    const start = Number(range?.slice(6, -1));
    response.writeHead(206, { 'content-range': `bytes ${start}-2999/3000` });
    response.write(file.subarray(start, start + 100));
  }

  test('before anything asks nothing', async () => {
    const signal = AbortSignal.abort(new Error('own reason'));
    await expect(open({ signal })).rejects.toThrow('own reason');
    expect(server.ranges).toEqual([]);
    const request = new Request(server.url, { signal });
    await expect(httpSource(request)).rejects.toThrow('own reason');
    expect(server.ranges).toEqual([]);
  });

  test('ends an opening that gets no answer', async () => {
    const controller = new AbortController();
    server.misbehave = () => {
      controller.abort();
      return true;
    };
    await expect(open({ signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
    await vi.waitFor(() => expect(server.open()).toBe(0));
    expect(server.ranges).toHaveLength(1);
  });

  test('ends a read that gets no more, and the next one asks anew', async () => {
    server.misbehave = hang;
    const source = await open();
    const controller = new AbortController();
    const reading = source.read(0, 200, controller.signal);
    setTimeout(() => controller.abort(new Error('own reason')), 20);
    await expect(reading).rejects.toThrow('own reason');
    await vi.waitFor(() => expect(server.open()).toBe(0));
    server.misbehave = () => undefined;
    expect(await source.read(0, 200)).toEqual(file.slice(0, 200));
    expect(server.ranges).toEqual(['bytes=0-', 'bytes=0-']);
    await source.close();
  });

  test('ends a read that waits for another, and lets that one be', async () => {
    let more = () => {};
    server.misbehave = (request, response) => {
      answerHead(request.headers.range, response);
      more = () => response.end(file.subarray(100));
      return true;
    };
    const source = await open();
    const first = source.read(0, 200);
    const controller = new AbortController();
    const second = source.read(200, 300, controller.signal);
    const third = source.read(200, 400);
    controller.abort(new Error('own reason'));
    await expect(second).rejects.toThrow('own reason');
    more();
    expect(await first).toEqual(file.slice(0, 200));
    expect(await third).toEqual(file.slice(200, 400));
    expect(server.ranges).toHaveLength(1);
    await source.close();
  });

  test('ends a wait between two attempts', async () => {
    const controller = new AbortController();
    server.misbehave = (_, response) => {
      response.writeHead(500);
      response.end();
      setTimeout(() => controller.abort(new Error('own reason')), 20);
      return true;
    };
    await expect(open({ signal: controller.signal, retryDelays: [1e9] })).rejects.toThrow('own reason');
    expect(server.ranges).toHaveLength(1);
  });

  test('of the request that the caller made ends its reads', async () => {
    server.misbehave = hang;
    const controller = new AbortController();
    const source = await httpSource(new Request(server.url, { signal: controller.signal }));
    const reading = source.read(0, 200);
    setTimeout(() => controller.abort(new Error('own reason')), 20);
    await expect(reading).rejects.toThrow('own reason');
    await expect(source.read(0, 10)).rejects.toThrow('own reason');
    await source.close();
  });

  test('close ends what is being read', async () => {
    server.misbehave = hang;
    const source = await open();
    const readings = [source.read(0, 200), source.read(300, 400)];
    setTimeout(() => void source.close(), 20);
    for (const reading of readings)
      await expect(reading).rejects.toEqual(failure('disposed', /the source has been closed/));
    await vi.waitFor(() => expect(server.open()).toBe(0));
    expect(server.ranges).toHaveLength(1);
  });
});
