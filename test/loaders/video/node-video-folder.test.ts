import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listVideoFolder } from '../../../loaders/video/node-video-folder.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'stam-folder-'));
});
afterEach(() => rm(root, { recursive: true }));

async function make(...files: string[]): Promise<void> {
  for (const file of files) {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), '');
  }
}

test('classes and videos come in the order of Python’s sorted() and os.walk()', async () => {
  // by code point: capitals first, '-' before '/', and U+1F3C0 behind U+FF21, which UTF-16 puts the other way round
  await make(
    'b/2.mp4',
    'b/10.mp4',
    'b/Z.AVI',
    'b/sub/1.mp4',
    'b/sub/deep/2.mp4',
    'b/sub-a/0.mp4',
    'a b/x.mp4',
    'B/-y.avi',
  );
  await make('\u{1f3c0}/ball.mp4', '\uff21/a.mp4', 'empty/readme.txt', 'not a class.mp4');
  const { classes, videos } = await listVideoFolder(root);
  expect(classes).toEqual(['B', 'a b', 'b', 'empty', '\uff21', '\u{1f3c0}']);
  expect(videos.map(({ name, label }) => [name, label])).toEqual([
    ['B/-y.avi', 0],
    ['a b/x.mp4', 1],
    ['b/10.mp4', 2],
    ['b/2.mp4', 2],
    ['b/Z.AVI', 2],
    ['b/sub/1.mp4', 2],
    ['b/sub-a/0.mp4', 2],
    ['b/sub/deep/2.mp4', 2],
    ['\uff21/a.mp4', 4],
    ['\u{1f3c0}/ball.mp4', 5],
  ]);
  expect(videos.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(videos[1].path).toBe(path.join(root, 'a b', 'x.mp4'));
});

test('a name counts by its last letters, whatever stands before them', async () => {
  await make('a/clip.mp4.part', 'a/clipmp4', 'a/clip.mkv', 'a/.mp4');
  const { videos } = await listVideoFolder(root);
  expect(videos.map(({ name }) => name)).toEqual(['a/.mp4', 'a/clipmp4']);
});

test('links are followed, but not into themselves; a broken one is a video that will fail', async () => {
  await make('a/1.mp4');
  await symlink(path.join(root, 'a'), path.join(root, 'b'));
  await symlink(root, path.join(root, 'a', 'up'));
  await symlink(path.join(root, 'none'), path.join(root, 'a', 'gone.mp4'));
  const { classes, videos } = await listVideoFolder(root);
  expect(classes).toEqual(['a', 'b']);
  expect(videos.map(({ name }) => name)).toEqual(expect.arrayContaining(['a/1.mp4', 'a/gone.mp4', 'b/1.mp4']));
});

test('a folder that is none, or has none in it, is refused', async () => {
  await expect(listVideoFolder(path.join(root, 'none'))).rejects.toMatchObject({ code: 'bad-input' });
  await make('1.mp4');
  await expect(listVideoFolder(root)).rejects.toThrow(/has no sub-folders; expected a folder for each class/);
});
