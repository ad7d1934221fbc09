// stam merge: one accuracy out of the results of several shards.
import { StamError } from '../engine/errors.ts';
import { defineCommand, UsageError } from './command.ts';
import type { ResultsContent, RunSettings, VideoResult } from './results-file.ts';
import {
  createResults,
  formatCounts,
  formatPrecision,
  readResults,
  settingsDifference,
  Tally,
} from './results-file.ts';
import { parseShard, wholeDataSet } from './shard.ts';

/** `stam merge FILE...`. */
export const merge = defineCommand({
  name: 'merge',
  summary: 'adds up the results of the shards of one infer',
  positionals: [
    { placeholder: 'FILE', description: 'what infer --out wrote, one file for each shard', repeated: true },
  ],
  options: {
    out: { type: 'string', placeholder: 'FILE', description: 'writes all results as one run would have written them' },
    json: { type: 'flag', description: 'prints one JSON object' },
  },
  async run({ values, positionals, stdout, log }) {
    const files = new Map<string, ResultsContent>();
    for (const path of positionals) {
      if (files.has(path)) throw new UsageError(`${path}: named twice`);
      const content = await readResults(path);
      if (!content) throw incomplete(path, 'no whole line is in it');
      files.set(path, content);
    }
    const { settings, results } = together(files);
    const tally = new Tally();
    for (const result of results) tally.add(result);
    const summary = tally.summary();
    if (values.out !== undefined) {
      const sink = await createResults(values.out, settings);
      await sink.append(results);
      await sink.close();
      log(`${values.out}: ${results.length} results`);
    }
    stdout(values.json ? JSON.stringify(summary) : `${formatCounts(summary)}\n${formatPrecision(summary)}`);
  },
});

/** Puts shards together. Throws bad-input when they are not all the shards of one run, each once and complete. */
function together(files: ReadonlyMap<string, ResultsContent>): {
  settings: RunSettings;
  results: readonly VideoResult[];
} {
  const [[firstPath, first]] = files;
  const { count } = parseShard(first.settings.shard, firstPath);
  const owners = new Map<number, string>();
  for (const [path, { settings, results }] of files) {
    const difference = settingsDifference(first.settings, settings, ['shard']);
    if (difference !== undefined) {
      throw new StamError('bad-input', {
        where: path,
        problem: `not of the same run as ${firstPath}`,
        got: difference,
      });
    }
    const shard = parseShard(settings.shard, path);
    if (shard.count !== count) {
      throw new StamError('bad-input', {
        where: path,
        problem: `overlaps ${firstPath}`,
        got: `shard ${settings.shard}`,
        expected: `a shard of ${count}`,
      });
    }
    const before = owners.get(shard.index);
    if (before !== undefined) {
      throw new StamError('bad-input', {
        where: path,
        problem: `overlaps ${before}`,
        got: `shard ${settings.shard} twice`,
      });
    }
    owners.set(shard.index, path);
    const own = Math.max(0, Math.ceil((settings.videos - shard.index) / count));
    const foreign = results.find(({ index }) => index % count !== shard.index || index >= settings.videos);
    if (foreign) throw incomplete(path, `video ${foreign.index} is not of shard ${settings.shard}`);
    if (results.length !== own) throw incomplete(path, `${results.length} of ${own} videos`);
  }
  const missing = Array.from({ length: count }, (_, i) => i).filter((i) => !owners.has(i));
  if (missing.length > 0) {
    throw new StamError('bad-input', {
      where: 'merge',
      problem: 'shards are missing',
      got: `${owners.size} of ${count}`,
      expected: `${missing.slice(0, 8).join(', ')}${missing.length > 8 ? ', ...' : ''} too`,
    });
  }
  const { index: whole, count: one } = wholeDataSet;
  return {
    settings: { ...first.settings, shard: `${whole}/${one}` },
    results: [...files.values()].flatMap(({ results }) => results).sort((a, b) => a.index - b.index),
  };
}

function incomplete(path: string, got: string): StamError {
  return new StamError('bad-input', {
    where: path,
    problem: 'the shard is not complete',
    got,
    hint: 'let infer --resume finish it',
  });
}
