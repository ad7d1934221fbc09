// Builds the page and the browser examples into a folder of plain files that any server can host.
import { copyFile, mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const room = dirname(fileURLToPath(import.meta.url));
const root = dirname(room);

const scripts = ['page.ts', 'examples/share-device.ts', 'examples/worker-page.ts', 'examples/worker.ts'];
const asTheyAre = ['index.html', 'page.css', 'icon.svg', 'examples/share-device.html', 'examples/worker.html'];

/** Writes everything to `folder`; no file of another name there is touched, but for the chunks of the build before. */
export async function buildDemo(folder) {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  await rm(join(folder, 'chunks'), { recursive: true, force: true });
  await build({
    absWorkingDir: root,
    entryPoints: scripts.map((name) => join(room, name)),
    outbase: room,
    outdir: folder,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    // what Node alone can load is imported on demand, and never demanded here
    external: ['webgpu', 'node:*'],
    loader: { '.wgsl': 'text', '.txt': 'text' },
    define: { __VERSION__: JSON.stringify(version) },
    minify: true,
    sourcemap: true,
    legalComments: 'linked',
    logLevel: 'warning',
  });
  await mkdir(join(folder, 'examples'), { recursive: true });
  await Promise.all(asTheyAre.map((name) => copyFile(join(room, name), join(folder, name))));
}
