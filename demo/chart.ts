// A chart of the runs of a benchmark: one column for each, a line at the median.
import { formatDuration } from './dom.ts';

/** In units of the drawing, which scales with the page. */
const width = 480;
const height = 120;
/** Room for the median's name. */
const margin = 14;

/** Draws the milliseconds of each run, at most `room` of them, into an <svg>. */
export function drawChart(svg: SVGSVGElement, times: readonly number[], room: number): void {
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const most = Math.max(...times, 1e-3);
  const scale = (ms: number) => (ms / most) * (height - margin);
  const step = width / room;
  const columns = times.map((ms, i) => {
    const column = shape('rect', { x: i * step + 1, y: height - scale(ms), width: step - 2, height: scale(ms), rx: 2 });
    column.append(titled(`run ${i + 1}: ${formatDuration(ms)}`));
    return column;
  });
  const ground = shape('line', { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5, class: 'chart-ground' });
  svg.replaceChildren(titled(describe(times)), ground, ...columns, ...(times.length ? medianLine(times, scale) : []));
}

/** The middle one of them, or between the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function medianLine(times: readonly number[], scale: (ms: number) => number): SVGElement[] {
  const y = height - scale(median(times));
  const text = shape('text', { x: width - 2, y: y - 4, class: 'chart-text', 'text-anchor': 'end' });
  text.textContent = `median ${formatDuration(median(times))}`;
  return [shape('line', { x1: 0, x2: width, y1: y, y2: y, class: 'chart-median' }), text];
}

function describe(times: readonly number[]): string {
  if (times.length === 0) return 'No runs yet';
  return `${times.length} runs, median ${formatDuration(median(times))}, from ${formatDuration(Math.min(...times))} to ${formatDuration(Math.max(...times))}`;
}

function titled(text: string): SVGElement {
  const title = shape('title', {});
  title.textContent = text;
  return title;
}

function shape(name: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, `${value}`);
  return made;
}
