// This project's folder in the user's cache, in Node: what can be had again, such as drivers unpacked and kernels tuned.
import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { TextStore } from './text-store.ts';

/**
 * In the user's own cache and not in a shared temporary folder, because code is loaded from there. For the same reason no variable that
 * is empty or a relative path counts, as the XDG Base Directory Specification has it: that would be a folder of wherever the process runs.
 */
export function cacheFolder(): string {
  const own = process.env['XDG_CACHE_HOME'] ?? '';
  return path.join(path.isAbsolute(own) ? own : path.join(homeFolder(), '.cache'), 'stam-webgpu');
}

/** What HOME says, or where that is no absolute path, what the system's list of users says. */
function homeFolder(): string {
  const home = os.homedir();
  return path.isAbsolute(home) ? home : os.userInfo().homedir;
}

/** Each text a JSON file under the hash of its name, replaced as a whole: readers beside a writer see the old text or the new one. */
export function fileTextStore(folder: string): TextStore {
  const fileOf = (name: string) =>
    path.join(folder, `${createHash('sha256').update(name).digest('hex').slice(0, 32)}.json`);
  return {
    async read(name) {
      try {
        const content = JSON.parse(await fs.readFile(fileOf(name), 'utf8')) as { name?: unknown; text?: unknown };
        return content.name === name && typeof content.text === 'string' ? content.text : undefined;
      } catch (error) {
        const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
        if (isMissing || error instanceof SyntaxError) return undefined;
        throw error;
      }
    },
    async write(name, text) {
      await fs.mkdir(folder, { recursive: true, mode: 0o700 });
      const partial = `${fileOf(name)}.${randomUUID()}`;
      await fs.writeFile(partial, JSON.stringify({ name, text }));
      await fs.rename(partial, fileOf(name));
    },
  };
}
