// The paper's table: what its figures are made of, without a GPU.
import { describe, expect, test } from 'vitest';
import { gmacsOf } from '../../bench/gmacs.ts';
import { figureOf, paperFigures } from '../../bench/paper.ts';
import type { PaperRow } from '../../bench/paper-table.ts';
import { comparisonTable, rowFromOther, rowOfRuns } from '../../bench/paper-table.ts';
import { createPlan } from '../../engine/plan.ts';
import { namedConfig } from '../../model/config.ts';
import { stamGraph } from '../../model/stam.ts';
import { testSize } from '../../model/views.ts';
import { largestBytes, x3dGraph } from '../../model/x3d.ts';
import type { X3dConfig } from '../../model/x3d-config.ts';
import { x3dConfigs } from '../../model/x3d-config.ts';
import { defaultCapabilities } from '../capabilities.ts';

const ran = { gmacsPerView: 10, dtype: 'f32', maxError: 1e-6, processorMs: null } as const;

describe('rows', () => {
  test('one view of thirty is extrapolated by the number of views', () => {
    const row = rowOfRuns('x3d_m', [2000], 1, ran);
    expect(row).toMatchObject({
      msPerVideo: 60_000,
      measured: '1 of 30 views',
      isExtrapolated: true,
      inputFrames: 480,
    });
    expect(row.videosPerSecond).toBeCloseTo(1 / 60, 12);
  });

  test('of a few views it is the median that counts', () => {
    expect(rowOfRuns('x3d_l', [9000, 1000, 2000], 1, ran)).toMatchObject({
      msPerVideo: 60_000,
      measured: '3 of 30 views',
      isExtrapolated: true,
    });
  });

  test('runs that make whole videos are added up, and the median is that of videos', () => {
    const times = [100, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3];
    expect(rowOfRuns('x3d_l', times, 6, ran)).toMatchObject({
      msPerVideo: 15,
      measured: '3 videos',
      isExtrapolated: false,
    });
  });

  test('a run of a STAM is a video', () => {
    expect(rowOfRuns('stam_16', [5, 50, 500], 1, ran)).toMatchObject({
      msPerVideo: 50,
      videosPerSecond: 20,
      measured: '3 videos',
      isExtrapolated: false,
      inputFrames: 16,
    });
  });

  test('STAM-64 from STAM-16, by multiply-adds', () => {
    const row = rowFromOther('stam_64', 40.5, rowOfRuns('stam_16', [1000], 1, ran));
    expect(row).toMatchObject({
      model: 'stam_64',
      msPerVideo: 4050,
      gmacsPerView: 40.5,
      inputFrames: 64,
      maxError: null,
      measured: 'nothing: stam_16 x 4.050',
      isExtrapolated: true,
    });
    expect(row.videosPerSecond).toBeCloseTo(1000 / 4050, 12);
  });

  test('processor time is extrapolated likewise, and on a GPU there is none', () => {
    const own = rowOfRuns('x3d_l', [1, 1], 3, { ...ran, processorMs: 12 });
    expect(own.processorMsPerVideo).toBe(120);
    const stam = rowOfRuns('stam_16', [1000], 1, { ...ran, processorMs: 1500 });
    expect(rowFromOther('stam_64', 40, stam).processorMsPerVideo).toBe(6000);
    expect(rowFromOther('stam_64', 40, rowOfRuns('stam_16', [1000], 1, ran)).processorMsPerVideo).toBeNull();
  });

  test('a model that the paper has not is refused', () => {
    expect(() => rowOfRuns('stam_8', [1], 1, ran)).toThrow(/got stam_8, expected x3d_m, x3d_l/);
  });
});

describe('the table', () => {
  const rows: readonly PaperRow[] = [
    rowOfRuns('x3d_l', [2000], 1, { ...ran, gmacsPerView: 24.778, processorMs: 4000 }),
    rowOfRuns('x3d_xl', [4000], 1, { ...ran, gmacsPerView: 48.42 }),
    rowOfRuns('stam_16', [1500], 1, { ...ran, gmacsPerView: 281.6, processorMs: 2400 }),
  ];

  test('has the figures of this adapter and of the paper, and marks what did not run', () => {
    const lines = comparisonTable(rows).split('\n');
    expect(lines[2].split(/ {2,}/)).toEqual([
      'x3d_l f32',
      '24.8 x 30',
      '480',
      '~60,000',
      '~0.0167',
      '~120,000',
      '1 of 30 views',
      '1.0e-6',
      '77.5',
      '0.46',
    ]);
    expect(lines[3]).toMatch(/ 79\.1 +not given$/);
    expect(lines[4].split(/ {2,}/)).toEqual([
      'stam_16 f32',
      '281.6 x 1',
      '16',
      '1,500',
      '0.667',
      '2,400',
      '1 video',
      '1.0e-6',
      '77.8',
      '20',
    ]);
    expect(lines).toContain(
      'STAM-16 : X3D-L in videos/s: 40.0 here (50.0 by processor time), 43.5 in the paper (20 / 0.46)',
    );
    expect(lines.at(-1)).toMatch(/are the paper's, not measured here\.$/);
  });

  test('has no processor time where there is none, and no ratio without both models', () => {
    expect(comparisonTable([rowOfRuns('stam_16', [1500], 1, ran), rowOfRuns('x3d_l', [2000], 1, ran)])).toContain(
      'STAM-16 : X3D-L in videos/s: 40.0 here, 43.5 in the paper (20 / 0.46)',
    );
    expect(comparisonTable(rows.slice(0, 2))).not.toContain('STAM-16 : X3D-L');
  });
});

describe('multiply-adds', () => {
  // facts of the networks as the official code builds them; the paper rounds them to 6.2, 24.8 and 48.4
  test.each([
    ['x3d_m', 256, 6.186],
    ['x3d_l', 356, 24.778],
    ['x3d_xl', 356, 48.42],
  ])('%s on %i pixels: %d G', (name, size, expected) => {
    const published = x3dConfigs.get(name) as X3dConfig;
    expect(testSize(published.imageSize)).toBe(size);
    const limits = { ...defaultCapabilities.limits, storageBufferBindingBytes: 2 ** 30, bufferBytes: 2 ** 30 };
    const capabilities = { ...defaultCapabilities, limits };
    const config = { ...published, imageSize: size };
    const options = { videos: 1, storage: 'f32', videosPerPass: 1, largestBytes: largestBytes(capabilities) } as const;
    expect(gmacsOf(createPlan(x3dGraph(config, options), capabilities)) / expected).toBeCloseTo(1, 2);
  });

  test.each([
    ['stam_16', 281.6],
    ['stam_64', 1126.2],
  ])('%s: %d G', (name, expected) => {
    const graph = stamGraph(namedConfig(name), { videos: 1, storage: 'f32', framesPerPass: 16 });
    expect(gmacsOf(createPlan(graph, defaultCapabilities))).toBeCloseTo(expected, 0);
  });

  test('input frames are views of sixteen frames, or all of STAM', () => {
    for (const { model, views, inputFrames } of paperFigures) {
      const frames = x3dConfigs.get(model)?.frames ?? namedConfig(model).frames;
      expect(inputFrames, model).toBe(views * frames);
    }
    expect(figureOf('x3d_l').videosPerSecond).toBe(0.46);
  });
});
