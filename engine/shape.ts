// Shape arithmetic. Shapes are row-major, PyTorch's order.

/** Lengths of a tensor's dimensions, outermost first. */
export type Shape = readonly number[];

/** Product of the dimensions; 1 for a scalar. */
export function elementCount(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** `[16, 197, 768]` */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** The same for a message, whatever a file calls a shape: what follows the sixteenth dimension is left out. */
export function formatBriefly(shape: Shape): string {
  return shape.length > 16 ? `[${shape.slice(0, 16).join(', ')}, ...]` : formatShape(shape);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** Quads (groups of four elements) that hold `count` elements. */
export function quads(count: number): number {
  return Math.ceil(count / 4);
}

/** All dimensions but the last, multiplied: how many rows a tensor has. */
export function rowCount(shape: Shape): number {
  return elementCount(shape.slice(0, -1));
}

/** The last dimension: how long each row is. */
export function rowLength(shape: Shape): number {
  return shape.at(-1) ?? 1;
}
