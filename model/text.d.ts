// A .txt file is imported as its text, like a .wgsl file.
declare module '*.txt' {
  const text: string;
  export default text;
}
