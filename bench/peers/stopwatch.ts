// Times one stretch of work of this process.

/** Runs `work` and returns its result with the wall-clock and processor time that it took, in milliseconds. */
export async function stopwatch<T>(work: () => Promise<T>): Promise<{ result: T; ms: number; cpuMs: number }> {
  const [begin, cpu] = [performance.now(), process.cpuUsage()];
  const result = await work();
  const { user, system } = process.cpuUsage(cpu); // microseconds
  return { result, ms: performance.now() - begin, cpuMs: (user + system) / 1000 };
}
