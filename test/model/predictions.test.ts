import { describe, expect, test } from 'vitest';
import { kinetics400, labelsFor, parseLabels } from '../../model/labels.ts';
import { rankOf, topPredictions } from '../../model/predictions.ts';

const logits = Float32Array.of(1, 3, 3, -2, 500);

describe('topPredictions', () => {
  test('gives the best first, of equals the lower number, with softmax scores that large logits do not break', () => {
    expect(topPredictions(logits, 3, ['a', 'b', 'c', 'd', 'e'])).toEqual([
      { index: 4, label: 'e', score: 1 },
      { index: 1, label: 'b', score: expect.closeTo(0) },
      { index: 2, label: 'c', score: expect.closeTo(0) },
    ]);
    const [first, second] = topPredictions(Float32Array.of(0, Math.log(3)), 9, undefined);
    expect([first, second]).toEqual([
      { index: 1, label: null, score: expect.closeTo(0.75) },
      { index: 0, label: null, score: expect.closeTo(0.25) },
    ]);
  });
});

describe('rankOf', () => {
  test('is the place in topPredictions', () => {
    const order = topPredictions(logits, logits.length, undefined).map(({ index }) => index);
    expect(order.map((index) => rankOf(logits, index))).toEqual([0, 1, 2, 3, 4]);
  });

  test('puts a class that the model does not have, or NaN for it, behind nothing it beats', () => {
    expect(rankOf(Float32Array.of(1, 2), 1)).toBe(0);
    expect(rankOf(Float32Array.of(Number.NaN, 2), 1)).toBe(0);
  });
});

describe('labels', () => {
  test('are the 400 of Kinetics, in the order of their names', () => {
    expect(kinetics400.length).toBe(400);
    expect(kinetics400).toEqual([...kinetics400].sort());
    expect(new Set(kinetics400).size).toBe(400);
    expect([kinetics400[0], kinetics400[308], kinetics400[399]]).toEqual([
      'abseiling',
      'skiing (not slalom or crosscountry)',
      'zumba',
    ]);
  });

  test('are given for 400 classes only, unless they are named', () => {
    expect(labelsFor(400)).toBe(kinetics400);
    expect(labelsFor(10)).toBeUndefined();
    expect(labelsFor(2, parseLabels('a\r\nb\n'))).toEqual(['a', 'b']);
    expect(() => labelsFor(3, ['a', 'b'])).toThrow(/labels: .*got 2 names, expected 3/);
  });
});
