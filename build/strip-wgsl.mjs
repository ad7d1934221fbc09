// WGSL as the published library carries it: the same tokens, without the comments, indentation and empty lines that are for readers of
// shaders/. The two comments that mean something to engine/wgsl.ts, `// #import NAME` and `// #unroll`, stay, each on its own line.
import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';

// WGSL knows no strings, so that these begin a comment wherever they stand
const comments = /\/\/.*|\/\*[\s\S]*?\*\//g;

/**
 * Strips one file. Throws for what engine/wgsl.ts could read otherwise afterwards: a comment that looks like a directive and is none
 * where it stands, or blocks of comments inside one another.
 * @param {string} text
 * @param {string} where for messages
 * @returns {string}
 */
export function stripWgsl(text, where) {
  const code = text.replace(comments, (comment, /** @type {number} */ offset) => {
    const before = text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset);
    if (/^\/\/ #import \S+$/.test(comment) && before === '') return comment;
    if (/^\/\/ #unroll$/.test(comment) && before.trim() === '') return comment;
    if (/^..\s*#|^\/\*[\s\S]*\/\*/.test(comment)) throw new Error(`${where}: cannot be stripped: ${comment}`);
    return ' ';
  });
  const lines = code.split('\n').map((line) => line.trim().replace(/\s+/g, ' '));
  return `${lines.filter(Boolean).join('\n')}\n`;
}

/** For esbuild: .wgsl files as stripped text. @type {import('esbuild').Plugin} */
export const strippedWgsl = {
  name: 'stripped-wgsl',
  setup(build) {
    build.onLoad({ filter: /\.wgsl$/ }, async ({ path }) => {
      const where = relative(build.initialOptions.absWorkingDir ?? '', path);
      return { contents: stripWgsl(await readFile(path, 'utf8'), where), loader: 'text' };
    });
  },
};
