// A server on this machine that serves one file well, until a test tells it how not to.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/** What the server does with the request numbered `number`, counted from 0. Returning true says that it was answered. */
export type Misbehaviour = (request: IncomingMessage, response: ServerResponse, number: number) => boolean | undefined;

export interface FileServer {
  readonly url: string;
  /** The `range` of each request so far. */
  readonly ranges: readonly (string | undefined)[];
  readonly requests: readonly IncomingMessage[];
  /** Responses that are being sent: neither finished nor given up. */
  readonly open: () => number;
  file: Uint8Array;
  headers: Record<string, string>;
  misbehave: Misbehaviour;
  close(): Promise<void>;
}

/** Serves `file` with ETag and Last-Modified, honouring `bytes=N-` and If-Range. */
export async function serveFile(file: Uint8Array): Promise<FileServer> {
  const requests: IncomingMessage[] = [];
  let open = 0;
  const server = createServer((request, response) => {
    requests.push(request);
    open++;
    response.on('close', () => open--);
    if (!served.misbehave(request, response, requests.length - 1)) answer(served, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const served: FileServer = {
    url: `http://127.0.0.1:${port}/models/stam.safetensors`,
    get ranges() {
      return requests.map(({ headers }) => headers.range);
    },
    requests,
    open: () => open,
    file,
    headers: { etag: '"one"', 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT' },
    misbehave: () => undefined,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return served;
}

/** The right answer to a request; with `cut`, the connection breaks after so many bytes of the body. */
export function answer(
  { file, headers }: Pick<FileServer, 'file' | 'headers'>,
  request: IncomingMessage,
  response: ServerResponse,
  { cut }: { cut?: number } = {},
): true {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? Number.NaN);
  const condition = request.headers['if-range'];
  const isSame = condition === undefined || condition === headers['etag'] || condition === headers['last-modified'];
  if (!isSame || Number.isNaN(start)) response.writeHead(200, { ...headers, 'content-length': file.length });
  else if (start >= file.length) response.writeHead(416, { 'content-range': `bytes */${file.length}` });
  else {
    const range = `bytes ${start}-${file.length - 1}/${file.length}`;
    response.writeHead(206, { ...headers, 'content-range': range, 'content-length': file.length - start });
  }
  const body = file.subarray(isSame && !Number.isNaN(start) ? start : 0);
  if (cut === undefined) response.end(body);
  else response.write(body.subarray(0, cut), () => response.destroy());
  return true;
}

/** The whole file, whatever was asked for. */
export const whole =
  (file: Uint8Array, headers: Record<string, string | number>): Misbehaviour =>
  (_, response) => {
    response.writeHead(200, headers);
    response.end(file);
    return true;
  };

/** A fetch whose responses break after so many bytes, one after another; those after them are whole. */
export function breaking(cuts: readonly number[]): typeof fetch {
  let requests = 0;
  return async (input, init) => {
    const response = await fetch(input, init);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const cut = cuts.at(requests++);
    const pieces = [bytes.subarray(0, cut)];
    // nothing is sent before it is asked for: a socket that breaks may take with it what nobody has read yet
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          const piece = pieces.shift();
          if (piece) controller.enqueue(piece);
          else if (cut === undefined) controller.close();
          else controller.error(new Error('reset'));
        },
      },
      { highWaterMark: 0 },
    );
    return new Response(body, { status: response.status, headers: response.headers });
  };
}
