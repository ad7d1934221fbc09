// A server that holds the connection and sends nothing.
import { expect, test } from 'vitest';
import { file, open, server } from './served-file.ts';

test('is left and asked again, at the answer and in the middle', async () => {
  server.misbehave = (_, response, number) => {
    if (number === 0) return true; // no answer at all
    if (number > 1) return undefined;
    response.writeHead(206, { 'content-range': 'bytes 0-2999/3000', ...server.headers });
    response.write(file.subarray(0, 700)); // and no more
    return true;
  };
  const source = await open({ stallTimeout: 100 });
  expect(await source.read(0, 3000)).toEqual(file);
  expect(server.ranges).toEqual(['bytes=0-', 'bytes=0-', 'bytes=700-']);
  await source.close();
});

test('for good: no answer', async () => {
  server.misbehave = () => true;
  const opening = open({ stallTimeout: 50 });
  await expect(opening).rejects.toMatchObject({ name: 'StamError', code: 'bad-input' });
  await expect(opening).rejects.toThrow(/cannot be fetched; got the server has sent nothing for 0\.05 s/);
  expect(server.ranges).toHaveLength(3);
});

test('for good: the whole file, from which the rest is missing', async () => {
  server.misbehave = (_, response) => {
    response.writeHead(200, { 'content-length': '3000' });
    response.write(file.subarray(0, 10));
    return true;
  };
  const opening = open({ stallTimeout: 50 });
  await expect(opening).rejects.toMatchObject({ name: 'StamError', code: 'bad-checkpoint' });
  await expect(opening).rejects.toThrow(/the server has sent nothing for 0\.05 s; got 10 bytes, expected 3000/);
});

test.each([0, -1, Number.NaN, 2 ** 31])('a time-out of %s ms is refused', async (stallTimeout) => {
  await expect(open({ stallTimeout })).rejects.toMatchObject({ code: 'bad-input' });
  expect(server.ranges).toEqual([]);
});
