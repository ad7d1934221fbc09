// The class names of Kinetics-400, in the order of the class numbers: google-deepmind/kinetics-i3d, data/label_map.txt (Apache-2.0),
// which is the order of the names by code point, and so the order in which infer.py numbers the folders of the data set.
import { StamError } from '../engine/errors.ts';
import text from './kinetics400-labels.txt';

/** One name per line; line i, counted from 0, is class i. Blank lines at the end do not count. */
export function parseLabels(content: string): readonly string[] {
  return content.trimEnd().split(/\r?\n/);
}

/** The names of the 400 classes of Kinetics-400, by class number. */
export const kinetics400: readonly string[] = parseLabels(text);

/** Names for the classes of a model: `labels` if given, Kinetics' where there are 400 classes, else none. Throws bad-input for a wrong number. */
export function labelsFor(classes: number, labels?: readonly string[]): readonly string[] | undefined {
  if (!labels) return classes === kinetics400.length ? kinetics400 : undefined;
  if (Array.isArray(labels) && labels.length === classes) return labels;
  throw new StamError('bad-input', {
    where: 'labels',
    problem: 'there must be one name for each class',
    got: `${labels.length} names`,
    expected: `${classes}`,
  });
}
