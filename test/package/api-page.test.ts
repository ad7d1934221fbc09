// docs/api.md says what can be imported, in the words of the sources.
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { apiPage } from '../../build/api-page.mjs';
import { rollUpDeclarations } from '../../build/declarations.mjs';

describe('the page of this package', () => {
  let page: ReturnType<typeof apiPage>;
  beforeAll(async () => {
    page = apiPage(await rollUpDeclarations());
  });

  test('is that of the sources; `npm run docs` writes it', async () => {
    const committed = await readFile(new URL('../../docs/api.md', import.meta.url), 'utf8');
    expect(committed).toBe(page.text);
  });

  test('documents everything that index.ts exports', () => {
    expect(page.undocumented).toEqual([]);
  });
});

describe('apiPage', () => {
  const declarations = `
/** How far. */
interface Inner {
    /** In metres, or
     * feet. */
    readonly length?: number | undefined;
    readonly either: 'a' | 'b';
}
interface Options { readonly inner: Inner; }
/** Counts: all of them. */
declare class Counter {
    #private;
    private constructor();
    /** The next. */
    next(): number;
}
/**
 * Measures it. Throws bad-input.
 */
declare function measure(options: Options): Promise<void>;
declare const limit: number;

export { Counter, limit, measure };
export type { Inner };
`;
  const { text, undocumented } = apiPage(declarations);

  test('puts functions first, each before the types that it speaks of', () => {
    const headings = [...text.matchAll(/^##+ (.*)$/gm)].map(([heading]) => heading);
    expect(headings).toEqual(['## measure', '### Options', '### Inner', '## Counter', '## limit']);
  });

  test('lists the exports with their first sentences', () => {
    expect(text).toContain('- [measure](#measure): Measures it.\n');
    expect(text).toContain('- [Counter](#counter): Counts: all of them.\n');
    expect(text).not.toContain('[Options]');
  });

  test('gives members as a table, without what is implied', () => {
    expect(text).toContain('| `length?` | `number` | In metres, or feet. |');
    expect(text).toContain("| `either` | `'a' \\| 'b'` |  |");
  });

  test('shows no private member', () => {
    expect(text).toContain('```ts\nnext(): number\n```\n\nThe next.');
    expect(text).not.toMatch(/private|constructor/);
  });

  test('says which exports have no doc comment; other types need none', () => {
    expect(undocumented).toEqual(['limit']);
  });

  test('refuses an export that it cannot find', () => {
    expect(() => apiPage('declare const a: number;\nexport { a as b };')).toThrow(/another name than declared: b/);
    expect(() => apiPage('declare namespace n {}\nexport { n };')).toThrow(/no way to document/);
  });
});
