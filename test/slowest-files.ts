// A reporter that ends a run with the files that took longest, and where they spent it.
import type { Reporter, TestModule } from 'vitest/node';

const count = 10;

export default class SlowestFiles implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    if (modules.length <= count) return;
    const rows = modules
      .map((module) => ({ name: module.relativeModuleId, ms: millisecondsOf(module) }))
      .toSorted((a, b) => b.ms - a.ms)
      .slice(0, count);
    process.stdout.write(`\nThe slowest ${count} of ${modules.length} files:\n`);
    for (const { name, ms } of rows) process.stdout.write(`  ${(ms / 1000).toFixed(1).padStart(6)} s  ${name}\n`);
  }
}

/** Of the tests and their hooks, and of what is imported first. */
function millisecondsOf(module: TestModule): number {
  const { duration, collectDuration, setupDuration } = module.diagnostic();
  return duration + collectDuration + setupDuration;
}
