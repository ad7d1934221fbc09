// The types of the library as one file, in which only what index.ts exports can be imported: tsc writes a declaration beside each
// source, rollup follows them from index.ts and keeps what is reached.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rollup } from 'rollup';
import { dts } from 'rollup-plugin-dts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * The text of dist/index.d.ts. Types are written down, not checked: `npm run check` does that.
 * @returns {Promise<string>}
 */
export async function rollUpDeclarations() {
  const folder = await mkdtemp(join(tmpdir(), 'stam-types-'));
  try {
    await emit(folder);
    const bundle = await rollup({
      input: join(folder, 'index.d.ts'),
      plugins: [dts()],
      onLog: (_, log) => {
        throw new Error(`index.d.ts: ${log.message}`);
      },
    });
    const { output } = await bundle.generate({ format: 'es' });
    return output[0].code;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The same types for TypeScript before 5.7 as well, in which typed arrays have no type parameter: each becomes a name for what the
 * array's own `of` returns, which is `Uint8Array<ArrayBuffer>` where there is such a type, and `Uint8Array` where there is not.
 * @param {string} declarations
 * @returns {string}
 */
export function withoutArrayParameters(declarations) {
  /** @type {Set<string>} */
  const arrays = new Set();
  const text = declarations.replaceAll(/\b([A-Z]\w*Array)<ArrayBuffer>/g, (_, array) => {
    arrays.add(array);
    return `${array}OfBuffer`;
  });
  const names = [...arrays].sort().map((array) => `type ${array}OfBuffer = ReturnType<${array}Constructor['of']>;\n`);
  return names.join('') + text;
}

/** @param {string} folder */
async function emit(folder) {
  const require = createRequire(import.meta.url);
  const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
  const child = spawn(process.execPath, [tsc, '-p', 'tsconfig.types.json', '--outDir', folder], { cwd: root });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`the declarations cannot be written: ${said.trim()}`);
}
