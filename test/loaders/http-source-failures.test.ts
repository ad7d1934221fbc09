// Files over HTTP, from a server on this machine that misbehaves in every way that a download has to survive or refuse.
import { describe, expect, test, vi } from 'vitest';
import { httpSource } from '../../loaders/http-source.ts';
import { answer, breaking, type Misbehaviour } from './http-server.ts';
import { failure, file, open, serve, server } from './served-file.ts';

/** Answers 206 with these headers in place of the right ones, and this body. */
const partial =
  (headers: Record<string, string>, body: Uint8Array = file): Misbehaviour =>
  (_, response) => {
    response.writeHead(206, { 'content-range': 'bytes 0-2999/3000', ...headers });
    response.end(body);
    return true;
  };

describe('a connection that breaks', () => {
  test('is opened again, until all has come', async () => {
    server.misbehave = (request, response, number) => number < 2 && answer(server, request, response, { cut: 1000 });
    const source = await open();
    expect(await source.read(0, 3000)).toEqual(file);
    expect(server.ranges).toHaveLength(3);
    await source.close();
  });

  test('goes on where it stopped, in memory that was given once', async () => {
    const source = await open({ fetch: breaking([1000, 1000]) });
    let allocations = 0;
    const allocate = (bytes: number) => {
      allocations++;
      return new Uint8Array(bytes);
    };
    expect(await source.read(0, 2500, undefined, allocate)).toEqual(file.slice(0, 2500));
    expect(await source.read(2500, 3000)).toEqual(file.slice(2500));
    expect(server.ranges).toEqual(['bytes=0-', 'bytes=1000-', 'bytes=2000-']);
    expect(allocations).toBe(1);
    await source.close();
  });

  test('breaks for good: bad-checkpoint, with how far it came, and the next read may succeed', async () => {
    const source = await open({ fetch: breaking([100, 100, 100]) });
    await expect(source.read(0, 2000)).rejects.toEqual(
      failure('bad-checkpoint', /^http:.*: the download broke off: reset; got 300 bytes, expected 3000$/),
    );
    expect(server.ranges).toEqual(['bytes=0-', 'bytes=100-', 'bytes=200-']);
    expect(await source.read(0, 2000)).toEqual(file.slice(0, 2000));
    await source.close();
  });

  test('has as many new attempts in each read', async () => {
    const source = await open({ fetch: breaking([600, 600, 600, 600, 600]) });
    expect(await source.read(0, 1500)).toEqual(file.slice(0, 1500));
    expect(await source.read(1500, 3000)).toEqual(file.slice(1500));
    expect(server.ranges).toEqual([0, 600, 1200, 1800, 2400].map((at) => `bytes=${at}-`));
    await source.close();
  });

  test('a body that ends too early is as bad as one that breaks', async () => {
    const short: typeof fetch = async (input, init) => {
      const response = await fetch(input, init);
      const bytes = new Uint8Array(await response.arrayBuffer());
      return new Response(bytes.slice(0, 1000), { status: response.status, headers: response.headers });
    };
    const source = await open({ fetch: short });
    expect(await source.read(0, 3000)).toEqual(file);
    await source.close();
    const none: typeof fetch = async (input, init) => {
      const { status, headers } = await fetch(input, init);
      return new Response(null, { status, headers });
    };
    const empty = await open({ fetch: none });
    await expect(empty.read(0, 3)).rejects.toEqual(
      failure('bad-checkpoint', /broke off: it ended; got 0 bytes, expected 3000$/),
    );
    await empty.close();
  });

  test.each([500, 503])('status %i is asked again, on opening and later', async (status) => {
    const refuse: Misbehaviour = (_, response, number) => {
      if (number % 3 === 2) return;
      response.writeHead(status);
      response.end('try again');
      return true;
    };
    server.misbehave = refuse;
    const source = await open();
    expect(await source.read(10, 20)).toEqual(file.slice(10, 20));
    expect(server.ranges).toEqual([...Array(3).fill('bytes=0-'), ...Array(3).fill('bytes=10-')]);
    await source.close();
  });

  test('status 503 for good: bad-input with address and status', async () => {
    server.misbehave = (_, response) => {
      response.writeHead(503);
      response.end();
      return true;
    };
    await expect(open()).rejects.toEqual(
      failure(
        'bad-input',
        /^http:.*stam\.safetensors: the address cannot be fetched; got status 503 Service Unavailable$/,
      ),
    );
    expect(server.ranges).toHaveLength(3);
  });

  test('connections that are closed before an answer are tried again', async () => {
    server.misbehave = (request, _, number) => {
      if (number > 0) return undefined;
      request.socket.destroy();
      return true;
    };
    const source = await open();
    expect(await source.read(0, 3000)).toEqual(file);
    expect(server.ranges).toHaveLength(2);
    await source.close();
  });

  test('waits longer each time', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let attempts = 0;
    const failing: typeof fetch = async () => {
      attempts++;
      throw new TypeError('fetch failed', { cause: Object.assign(new Error(''), { code: 'ECONNREFUSED' }) });
    };
    const outcome = httpSource(server.url, { fetch: failing }).catch((error: unknown) => error);
    for (const [i, wait] of [250, 500, 1000, 2000].entries()) {
      await vi.advanceTimersByTimeAsync(wait - 1);
      expect(attempts).toBe(i + 1);
      await vi.advanceTimersByTimeAsync(1);
      expect(attempts).toBe(i + 2);
    }
    expect(await outcome).toEqual(
      failure('bad-input', /cannot be fetched; got fetch failed: ECONNREFUSED; check the address and the network/),
    );
  });
});

describe('an address that cannot be fetched', () => {
  test.each([
    [404, 'Not Found'],
    [403, 'Forbidden'],
    [204, 'No Content'],
    [416, 'Range Not Satisfiable'],
  ])('status %i: bad-input with address and status, at once', async (status, text) => {
    server.misbehave = (_, response) => {
      response.writeHead(status);
      response.end();
      return true;
    };
    await expect(open()).rejects.toEqual(
      failure('bad-input', new RegExp(`^${server.url}: the address cannot be fetched; got status ${status} ${text}$`)),
    );
    expect(server.ranges).toHaveLength(1);
  });

  test('status 404 in the middle too', async () => {
    const source = await open();
    server.misbehave = (_, response) => {
      response.writeHead(404);
      response.end();
      return true;
    };
    await expect(source.read(10, 20)).rejects.toEqual(failure('bad-input', /got status 404 Not Found/));
    await source.close();
  });

  test('a port where nobody listens', async () => {
    await server.close();
    await expect(open()).rejects.toEqual(
      failure('bad-input', /^http:.*cannot be fetched; got fetch failed: connect ECONNREFUSED/),
    );
    await serve();
  });

  test.each([
    ['http://', /not an address that can be fetched; got http:\/\//],
    ['weights.safetensors', /not an address that can be fetched; got weights\.safetensors/],
    ['http://name:secret@localhost/x', /got http:\/\/\.\.\.@localhost\/x; name and password go into the header/],
    ['file:///etc/passwd', /not an http address; got file:\/\/\/etc\/passwd; a Blob or File has blobSource/],
    ['data:,x', /not an http address/],
  ])('%j', async (url, message) => {
    await expect(httpSource(url)).rejects.toEqual(failure('bad-input', message));
  });

  test('a request that is no GET', async () => {
    const request = new Request(server.url, { method: 'POST', body: 'x' });
    await expect(httpSource(request)).rejects.toEqual(failure('bad-input', /the request is a POST/));
  });

  test('messages leave out what stands in the query', async () => {
    server.misbehave = (_, response) => {
      response.writeHead(404);
      response.end();
      return true;
    };
    await expect(httpSource(`${server.url}?signature=secret#part`)).rejects.toEqual(
      failure('bad-input', /^http:\/\/127\.0\.0\.1:\d+\/models\/stam\.safetensors\?\.\.\.: /),
    );
  });

  test.each([
    { maxBufferedBytes: -1 },
    { maxBufferedBytes: 1.5 },
    { retryDelays: [-1] },
    { retryDelays: [Number.NaN] },
    { headers: { 'not a name': 'x' } },
  ])('the options %j are bad-input', async (options) => {
    await expect(open(options)).rejects.toEqual(failure('bad-input', /^httpSource: \w+: bad option; got /));
    expect(server.ranges).toEqual([]);
  });
});

describe('a file that changes on the server', () => {
  const changedFile = Uint8Array.from(file, (byte) => byte ^ 1);

  test.each([
    ['ETag', { etag: '"two"' }, '"one"'],
    [
      'Last-Modified, without ETag',
      { 'last-modified': 'Fri, 02 Jan 2026 00:00:00 GMT' },
      'Thu, 01 Jan 2026 00:00:00 GMT',
    ],
  ])('is noticed by If-Range: %s', async (_, headers, condition) => {
    if (!('etag' in headers)) server.headers = { 'last-modified': condition };
    const source = await open();
    await source.read(0, 10);
    server.file = changedFile;
    server.headers = headers;
    await expect(source.read(20, 30)).rejects.toEqual(
      failure(
        'bad-checkpoint',
        /^http:.*: the file changed on the server while it was read; got status 200 OK, expected/,
      ),
    );
    expect(server.requests.map(({ headers: sent }) => sent['if-range'])).toEqual([undefined, condition]);
    await source.close();
  });

  test.each([
    ['ETag', { etag: '"two"' }, /got ETag "two", expected "one"/],
    [
      'Last-Modified',
      { etag: '"one"', 'last-modified': 'Fri, 02 Jan 2026 00:00:00 GMT' },
      /got Last-Modified Fri, 02 .*, expected Thu, 01/,
    ],
  ])('is noticed where If-Range is not understood: %s', async (_, headers, message) => {
    server.misbehave = (request) => {
      delete request.headers['if-range'];
      return undefined;
    };
    const source = await open();
    server.headers = headers;
    await expect(source.read(20, 30)).rejects.toEqual(failure('bad-checkpoint', message));
    await source.close();
  });

  test('is noticed by its size where the server says nothing else', async () => {
    server.headers = {};
    const source = await open();
    server.file = new Uint8Array(3001);
    await expect(source.read(20, 30)).rejects.toEqual(failure('bad-checkpoint', /got 3001 bytes, expected 3000/));
    server.file = new Uint8Array(20);
    await expect(source.read(20, 30)).rejects.toEqual(failure('bad-checkpoint', /got status 416/));
    expect(server.requests.map(({ headers }) => headers['if-range'])).toEqual([undefined, undefined, undefined]);
    await source.close();
  });

  test('is noticed when a connection that broke goes on', async () => {
    server.misbehave = (request, response, number) => {
      if (number > 0) return undefined;
      answer(server, request, response, { cut: 1000 });
      server.file = changedFile;
      server.headers = { etag: '"two"' };
      return true;
    };
    const source = await open();
    await expect(source.read(0, 3000)).rejects.toEqual(failure('bad-checkpoint', /the file changed on the server/));
    await source.close();
  });

  test('a weak ETag is compared, but no condition: it does not promise the same bytes', async () => {
    server.headers = { etag: 'W/"one"', 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT' };
    const source = await open();
    expect(await source.read(20, 30)).toEqual(file.slice(20, 30));
    expect(server.requests[1].headers['if-range']).toBeUndefined();
    server.headers = { etag: 'W/"two"' };
    await expect(source.read(10, 20)).rejects.toEqual(
      failure('bad-checkpoint', /got ETag W\/"two", expected W\/"one"/),
    );
    await source.close();
  });

  test.each([
    ['the same origin', () => new URL(server.url).origin, '"one"'],
    ['another origin, without asking it first', () => 'https://elsewhere.example', undefined],
  ])('a page asks %s', async (_, origin, condition) => {
    vi.stubGlobal('location', { origin: origin() });
    const source = await open();
    expect(await source.read(20, 30)).toEqual(file.slice(20, 30));
    expect(server.requests[1].headers['if-range']).toBe(condition);
    server.headers = { etag: '"two"' };
    await expect(source.read(20, 30)).rejects.toEqual(failure('bad-checkpoint', /the file changed on the server/));
    await source.close();
  });
});

describe('a range that is not believed', () => {
  test.each([
    ['no Content-Range', { 'content-range': [] as unknown as string }, /got no Content-Range, .*Access-Control-Expose/],
    [
      'an unknown size',
      { 'content-range': 'bytes 0-2999/*' },
      /got Content-Range: bytes 0-2999\/\*, expected bytes 0-LAST\/SIZE/,
    ],
    ['another beginning', { 'content-range': 'bytes 1-2999/3000' }, /expected bytes 0-2999\/3000/],
    ['another end', { 'content-range': 'bytes 0-2998/3000' }, /expected bytes 0-2999\/3000/],
    ['another unit', { 'content-range': 'items 0-2999/3000' }, /got Content-Range: items/],
    [
      'a size beyond 2^53',
      { 'content-range': 'bytes 0-9007199254740991/9007199254740992' },
      /got Content-Range: bytes 0-9007/,
    ],
    ['nonsense', { 'content-range': 'x'.repeat(5000) }, /got Content-Range: x{100}, expected/],
    [
      'another Content-Length',
      { 'content-length': '2999' },
      /Content-Length .* contradict.*got 2999 bytes for bytes 0-2999\/3000/,
    ],
    [
      'compression',
      { 'content-encoding': 'gzip' },
      /the server compresses .*got Content-Encoding: gzip, expected the bytes/,
    ],
  ])('%s: unsupported', async (_, headers, message) => {
    server.misbehave = partial(headers, new Uint8Array(2999));
    await expect(open()).rejects.toEqual(failure('unsupported', message));
    expect(server.ranges).toHaveLength(1);
  });

  test('another part than the one asked for', async () => {
    const source = await open();
    server.misbehave = partial({ etag: '"one"' });
    await expect(source.read(20, 30)).rejects.toEqual(
      failure('unsupported', /got Content-Range: bytes 0-2999\/3000, expected bytes 20-2999\/3000/),
    );
    await source.close();
  });

  test('an identity encoding is none', async () => {
    server.misbehave = partial({ 'content-encoding': 'identity' });
    const source = await open();
    expect(await source.read(0, 3000)).toEqual(file);
    await source.close();
  });
});
