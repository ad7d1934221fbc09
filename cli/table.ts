// Numbers and tables for people. Programs read the --json of the same command.

/** One column of a table. */
export interface Column {
  readonly title: string;
  /** By default right when every cell is a number, left otherwise. */
  readonly align?: 'left' | 'right';
}

/** A cell that has nothing to say is undefined and shows as a dash. */
export type Cell = string | number | undefined;

/** Lines of aligned plain text, two blanks between columns, no line feed at the end. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly Cell[])[]): string {
  for (const row of rows) {
    if (row.length !== columns.length)
      throw new RangeError(`table: got ${row.length} cells, expected ${columns.length}`);
  }
  const laidOut = columns.map(({ title, align }, index) => {
    const cells = rows.map((row) => row[index]);
    const isNumeric = cells.some((cell) => typeof cell === 'number') && cells.every((cell) => typeof cell !== 'string');
    const texts = cells.map(cellText);
    const width = Math.max(...[title, ...texts].map(textWidth));
    const pad = (text: string) => {
      const blanks = ' '.repeat(width - textWidth(text));
      return (align ?? (isNumeric ? 'right' : 'left')) === 'right' ? blanks + text : text + blanks;
    };
    return [pad(title), '-'.repeat(width), ...texts.map(pad)];
  });
  return Array.from({ length: rows.length + 2 }, (_, line) =>
    laidOut
      .map((column) => column[line])
      .join('  ')
      .trimEnd(),
  ).join('\n');
}

function cellText(cell: Cell): string {
  if (cell === undefined) return '-';
  return typeof cell === 'number' ? formatNumber(cell) : printable(cell);
}

/** Text with its control characters spelled out: names in files come from strangers and must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16);
    return code.length <= 4 ? `\\u${code.padStart(4, '0')}` : `\\u{${code}}`;
  });
}

function textWidth(text: string): number {
  return [...text].length;
}

/** Integers whole, with commas; other numbers with `digits` significant digits, far from 1 in the form 1.5e-7. */
export function formatNumber(value: number, digits = 3): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString('en-US');
  if (!Number.isFinite(value)) return String(value);
  const magnitude = Math.abs(value);
  if (magnitude < 1e-3 || magnitude >= 1e15) return value.toExponential(digits - 1);
  if (magnitude >= 10 ** digits) return Math.round(value).toLocaleString('en-US');
  // rounding up to the next power of ten makes toPrecision switch to exponents
  return Number(value.toPrecision(digits)) >= 10 ** digits
    ? formatNumber(Math.round(value))
    : value.toPrecision(digits);
}

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB'];

/** 1,234,567 as 1.23 MB: decimal units, as disks and networks count. */
export function formatBytes(bytes: number): string {
  let scaled = bytes;
  let unit = 0;
  // 999.5 would be shown as 1000 of the smaller unit
  while (Math.abs(scaled) >= 999.5 && unit < byteUnits.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(scaled) : scaled.toPrecision(3)} ${byteUnits[unit]}`;
}

/** Milliseconds as 0.123 ms, 12.3 ms, 4.56 s, 2 min 05 s or 3 h 07 min. */
export function formatDuration(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return String(milliseconds);
  if (milliseconds === 0) return '0 s';
  if (milliseconds < 999.5) return `${formatNumber(Number(milliseconds.toPrecision(3)))} ms`;
  if (milliseconds < 59_950) return `${(milliseconds / 1000).toPrecision(3)} s`;
  const seconds = Math.round(milliseconds / 1000);
  const pad = (count: number) => String(count).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}
