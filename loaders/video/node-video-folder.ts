// A folder of videos, one sub-folder a class, listed in the order in which torchvision's Kinetics400 data set numbers classes and videos.
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { StamError, throwIfAborted } from '../../engine/errors.ts';
import { notUtf8 } from './node-video-probe.ts';

/** One video of a data set. */
export interface ListedVideo {
  /** Position in the data set. */
  readonly index: number;
  readonly path: string;
  /** Path below the data set's folder, with forward slashes everywhere. */
  readonly name: string;
  /** Number of its class. */
  readonly label: number;
}

export interface VideoFolder {
  /** Names of the sub-folders, by class number. */
  readonly classes: readonly string[];
  readonly videos: readonly ListedVideo[];
}

/** What the name of a video ends in, letter case aside: infer.py names no dot. */
const extensions = ['avi', 'mp4'];

/**
 * Lists a data set. Symbolic links are followed, but no folder is entered from within itself. Throws bad-input when the folder cannot
 * be read or has no sub-folders.
 */
export async function listVideoFolder(root: string, signal?: AbortSignal): Promise<VideoFolder> {
  const { folders: classes } = await readFolder(root);
  if (classes.length === 0) {
    throw new StamError('bad-input', {
      where: root,
      problem: 'the folder has no sub-folders',
      expected: 'a folder for each class, with its videos in it',
    });
  }
  const videos: ListedVideo[] = [];
  for (const [label, name] of classes.entries()) {
    throwIfAborted(signal);
    for (const path of await filesBelow(join(root, name))) {
      const below = path.slice(join(root, sep).length);
      videos.push({ index: videos.length, path, name: below.split(sep).join('/'), label });
    }
  }
  return { classes, videos };
}

/** Videos in a folder and below, in the order of Python's sorted(os.walk(...)): by folder, then by name. */
async function filesBelow(folder: string): Promise<string[]> {
  const found: { folder: string; files: readonly string[] }[] = [];
  const visit = async (path: string, above: readonly string[]): Promise<void> => {
    const real = await realpath(path);
    if (above.includes(real)) return;
    const { folders, files } = await readFolder(path);
    found.push({ folder: path, files });
    for (const name of folders) await visit(join(path, name), [...above, real]);
  };
  await visit(folder, []);
  const isVideo = (name: string) => extensions.some((extension) => name.toLowerCase().endsWith(extension));
  return found
    .sort((a, b) => byCodePoint(a.folder, b.folder))
    .flatMap(({ folder: place, files }) => files.filter(isVideo).map((name) => join(place, name)));
}

/** Sub-folders and files, sorted. What a broken link names is a file, as for Python: reading it will fail with its name. */
async function readFolder(path: string): Promise<{ folders: string[]; files: string[] }> {
  const entries = await readdir(path, { withFileTypes: true }).catch((cause) => {
    const hint = path.includes('\uFFFD') ? notUtf8 : undefined;
    throw new StamError('bad-input', { where: path, problem: `the folder cannot be read: ${cause}`, hint, cause });
  });
  const folders: string[] = [];
  const files: string[] = [];
  for (const entry of entries.sort((a, b) => byCodePoint(a.name, b.name))) {
    const isLink = entry.isSymbolicLink();
    const status = isLink ? await stat(join(path, entry.name)).catch(() => undefined) : entry;
    (status?.isDirectory() ? folders : files).push(entry.name);
  }
  return { folders, files };
}

/** Python compares strings by code point, JavaScript by UTF-16 unit; the bytes of UTF-8 have the order of code points. */
function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
