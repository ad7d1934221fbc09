// A .wgsl file is imported as its text: by esbuild's text loader in builds, by a plugin of vitest.config.ts in tests.
declare module '*.wgsl' {
  const text: string;
  export default text;
}
