import { chmodSync, copyFileSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { findVideoTools } from '../../../loaders/video/node-video-tools.ts';
import { packaged, standIn, temporaryFolder } from './video-files.ts';

const folder = temporaryFolder();
const inFolder = (...names: string[]) => path.join(folder, ...names);

/** No npm package is installed. */
const nothing = (): string => {
  throw new Error('not installed');
};

beforeAll(() => {
  for (const name of ['both', 'first', 'only ffmpeg', 'old']) mkdirSync(inFolder(name));
  for (const name of ['both', 'first']) {
    standIn(inFolder(name), 'ffmpeg', '');
    standIn(inFolder(name), 'ffprobe', '');
  }
  standIn(inFolder('only ffmpeg'), 'ffmpeg', '');
});

afterEach(() => vi.unstubAllEnvs());

describe('where the programs are found', () => {
  test('in the npm packages, when nothing else is there', () => {
    expect(packaged.ffmpeg).toMatchObject({ origin: 'package', path: expect.stringContaining('@ffmpeg-installer') });
    expect(packaged.ffprobe).toMatchObject({ origin: 'package', path: expect.stringContaining('@ffprobe-installer') });
    expect(packaged.ffmpeg.version).not.toBe('');
  });

  test('at a path, ffprobe beside it', async () => {
    const environment = { STAM_FFMPEG: inFolder('first', 'ffmpeg'), STAM_FFPROBE: inFolder('first', 'ffprobe') };
    const expected = {
      ffmpeg: { path: inFolder('both', 'ffmpeg'), version: '99-stand-in', origin: 'option' },
      ffprobe: { path: inFolder('both', 'ffprobe'), version: '99-stand-in', origin: 'beside' },
    };
    expect(await findVideoTools({ ffmpeg: inFolder('both', 'ffmpeg'), environment })).toMatchObject(expected);
    expect(await findVideoTools({ ffmpeg: inFolder('both'), environment })).toMatchObject(expected);
  });

  test('at a path without ffprobe beside it, that one as if nothing had been named', async () => {
    const environment = { STAM_FFPROBE: inFolder('first', 'ffprobe'), PATH: inFolder('both') };
    const { ffprobe } = await findVideoTools({ ffmpeg: inFolder('only ffmpeg'), environment });
    expect(ffprobe).toMatchObject({ path: inFolder('first', 'ffprobe'), origin: 'environment' });
    const tools = await findVideoTools({ ffmpeg: inFolder('only ffmpeg'), environment: { PATH: inFolder('both') } });
    expect(tools.ffprobe).toMatchObject({ path: inFolder('both', 'ffprobe'), origin: 'path' });
  });

  test('in the environment', async () => {
    const environment = { STAM_FFMPEG: inFolder('both'), STAM_FFPROBE: inFolder('first'), PATH: '' };
    expect(await findVideoTools({ environment })).toMatchObject({
      ffmpeg: { path: inFolder('both', 'ffmpeg'), origin: 'environment' },
      ffprobe: { path: inFolder('first', 'ffprobe'), origin: 'environment' },
    });
  });

  test('on PATH, in its order, but never in the working folder', async () => {
    const PATH = ['relative', '', inFolder('empty'), inFolder('first'), inFolder('both')].join(path.delimiter);
    expect(await findVideoTools({ environment: { PATH } })).toMatchObject({
      ffmpeg: { path: inFolder('first', 'ffmpeg'), origin: 'path' },
      ffprobe: { path: inFolder('first', 'ffprobe'), origin: 'beside' },
    });
  });

  test('past one on PATH that does not run', async () => {
    mkdirSync(inFolder('broken'));
    writeFileSync(inFolder('broken', 'ffmpeg'), `#!${process.execPath}\nprocess.exit(5)`, { mode: 0o755 });
    const PATH = [inFolder('broken'), inFolder('both')].join(path.delimiter);
    expect((await findVideoTools({ environment: { PATH } })).ffmpeg.path).toBe(inFolder('both', 'ffmpeg'));
  });
});

describe('how frames are passed on', () => {
  test.each([
    ['58. 54.100', ['-vsync', '0']],
    ['59. 18.100', ['-vsync', '0']],
    ['59. 37.100', ['-fps_mode', 'passthrough']],
    ['61.  3.100', ['-fps_mode', 'passthrough']],
  ])('by libavcodec %s', async (libavcodec, expected) => {
    const file = standIn(inFolder('old'), 'ffmpeg', '');
    const version = `ffmpeg version N-47683-g0e8eb07980\\nlibavcodec     ${libavcodec} / ${libavcodec}\\n`;
    writeFileSync(file, `#!${process.execPath}\nprocess.stdout.write('${version}')`, { mode: 0o755 });
    const environment = { STAM_FFPROBE: inFolder('both', 'ffprobe') };
    expect((await findVideoTools({ ffmpeg: file, environment })).passthrough).toEqual(expected);
  });
});

describe('a package whose program lacks its execute bit', () => {
  test('is run from a copy in the cache', async () => {
    vi.stubEnv('XDG_CACHE_HOME', inFolder('cache'));
    const resolve = (specifier: string) => {
      const name = specifier.startsWith('@ffmpeg') ? 'ffmpeg' : 'ffprobe';
      const manifest = inFolder('modules', ...specifier.split('/'));
      if (existsSync(manifest)) return manifest;
      mkdirSync(path.dirname(manifest), { recursive: true });
      writeFileSync(manifest, '{ "version": "1.2.3" }');
      const file = path.join(path.dirname(manifest), name);
      copyFileSync(inFolder('both', name), file);
      chmodSync(file, 0o644);
      return manifest;
    };
    const first = await findVideoTools({ environment: {}, resolve });
    expect(first).toMatchObject({
      ffmpeg: { path: inFolder('cache', 'stam-webgpu', 'ffmpeg-1.2.3', 'ffmpeg'), origin: 'package' },
      ffprobe: { path: inFolder('cache', 'stam-webgpu', 'ffprobe-1.2.3', 'ffprobe'), origin: 'package' },
    });
    const { mtimeMs } = statSync(first.ffmpeg.path);
    expect(await findVideoTools({ environment: {}, resolve })).toEqual(first);
    expect(statSync(first.ffmpeg.path).mtimeMs).toBe(mtimeMs); // copied once
  });
});

describe('when there is none', () => {
  test('the message says where was looked, and what helps', async () => {
    const run = findVideoTools({ environment: { PATH: inFolder('empty') }, resolve: nothing });
    await expect(run).rejects.toMatchObject({
      code: 'unsupported',
      message:
        'ffmpeg: videos are decoded by ffmpeg, which cannot be run; got none on PATH runs; npm package ' +
        '@ffmpeg-installer/ffmpeg: not installed, expected version 4.1 or later; install ffmpeg by the package manager of the system ' +
        '(apt-get install ffmpeg, brew install ffmpeg, winget install ffmpeg), or npm install @ffmpeg-installer/ffmpeg ' +
        '@ffprobe-installer/ffprobe, or name its folder by --ffmpeg or STAM_FFMPEG',
    });
  });

  test.each([
    ['nothing', 'no such file'],
    ['text', 'not executable'],
    ['failing', 'does not run (exit status 5)'],
    ['other', 'does not answer -version as ffmpeg does'],
  ])('a path that names %s is refused, and no other program takes its place', async (name, problem) => {
    const file = inFolder(name);
    if (name === 'text') writeFileSync(file, 'text');
    if (name === 'failing') writeFileSync(file, `#!${process.execPath}\nprocess.exit(5)`, { mode: 0o755 });
    if (name === 'other') writeFileSync(file, `#!${process.execPath}\nconsole.log('other version 1')`, { mode: 0o755 });
    const environment = { PATH: inFolder('both') };
    const expected = { code: 'unsupported', message: expect.stringContaining(`got ${file}: ${problem},`) };
    await expect(findVideoTools({ ffmpeg: file, environment })).rejects.toMatchObject(expected);
    await expect(findVideoTools({ environment: { ...environment, STAM_FFMPEG: file } })).rejects.toMatchObject(
      expected,
    );
  });

  test('an abort is no missing program', async () => {
    const run = findVideoTools({ ffmpeg: inFolder('both'), signal: AbortSignal.abort() });
    await expect(run).rejects.toMatchObject({ name: 'AbortError' });
  });
});
