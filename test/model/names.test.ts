// Checkpoints whose names begin with what a wrapper put before them: only what all tensors of one network share is dropped.
import { describe, expect, test } from 'vitest';
import { openSynthetic } from '../../loaders/synthetic.ts';
import type { FitSource } from '../../model/fit.ts';
import { fitCheckpoint } from '../../model/fit.ts';
import { onlyPrefix, prefixesOf, withoutPrefix, x3dLandmarks } from '../../model/names.ts';
import { weightShapes } from '../../model/weights.ts';
import { x3dShapes } from '../../model/x3d-weights.ts';
import { smallestConfig } from './fixtures.ts';
import { smallX3d } from './x3d-fixture.ts';

const shapes = weightShapes(smallestConfig);
const plain = openSynthetic(1, shapes);

/** The tensors of a STAM under other names, and beside them scalars. */
function renamed(rename: (name: string) => string, others: readonly string[] = []): FitSource {
  const known = new Map([...plain.tensors].map(([name, info]) => [rename(name), { ...info, original: name }]));
  const beside = others.map((name) => [name, { dtype: 'F32', shape: [] }] as const);
  return {
    name: 'file',
    metadata: new Map([['heads', '2']]),
    tensors: new Map<string, { dtype: string; shape: readonly number[] }>([...beside, ...known]),
    order: () => [...others, ...known.keys()],
    read: (name, ...rest) => plain.read(known.get(name)?.original ?? '', ...rest),
  };
}

describe('a prefix of all tensors', () => {
  test.each(['module.', '_orig_mod.', 'model.', 'module._orig_mod.', 'net.backbone.'])(
    '%s is dropped and told',
    async (prefix) => {
      const source = withoutPrefix(renamed((name) => prefix + name));
      expect([...source.tensors.keys()]).toEqual([...shapes.keys()]);
      expect(source.order()).toEqual([...shapes.keys()]);
      expect(await source.read('head.bias')).toEqual(await plain.read('head.bias'));
      expect(source.metadata?.get('heads')).toBe('2');
      const notice = `file: the prefix ${prefix} of the names is dropped`;
      expect(fitCheckpoint(source, smallestConfig).notices).toEqual([notice]);
    },
  );

  test('is dropped beside tensors that have none, which are named', () => {
    const source = withoutPrefix(renamed((name) => `module.${name}`, ['n_averaged', 'loss.module.w']));
    expect([...source.tensors.keys()]).toEqual([...shapes.keys()]);
    expect(source.notices).toEqual([
      'file: the prefix module. of the names is dropped; ignored, as they have none: n_averaged, loss.module.w',
    ]);
  });

  test('does not hide tensors of other names', () => {
    const source = withoutPrefix(renamed((name) => (name === 'head.bias' ? name : `module.${name}`)));
    expect(() => fitCheckpoint(source, smallestConfig)).toThrow(/1 tensor does not fit .*: head\.bias is missing/);
    const more = withoutPrefix(renamed((name) => `module.${name}`, ['module.blocks.9.x']));
    expect(() => fitCheckpoint(more, smallestConfig)).toThrow(/blocks\.9\.x .* is not of this model/);
  });

  test('of an X3D is found, too', () => {
    const names = new Map([...x3dShapes(smallX3d).keys()].map((name) => [`module.${name}`, {}]));
    expect(onlyPrefix({ name: 'file', tensors: names }, x3dLandmarks)).toBe('module.');
    expect(prefixesOf({ name: 'file', tensors: x3dShapes(smallX3d) }, x3dLandmarks)).toEqual(['']);
  });
});

describe('where there is no such prefix', () => {
  const failure = (code: string, message: RegExp) =>
    expect.objectContaining({ name: 'StamError', code, message: expect.stringMatching(message) });

  test('a STAM that lacks a landmark is left to the check of all its tensors', () => {
    const source = renamed((name) => (name === 'cls_token' ? 'class_token' : name));
    expect(withoutPrefix(source)).toBe(source);
  });

  test('the names that are there are told, cut and quoted', () => {
    const names = ['step\u001b', ...Array.from({ length: 9 }, (_, i) => `w${i}`)];
    const other = {
      ...plain,
      name: 'file',
      tensors: new Map(names.map((name) => [name, { dtype: 'F32', shape: [] }])),
    };
    const message =
      /^file: cls_token: the checkpoint lacks it, so it is no STAM; got "step\\u001b", w0, .*, w6, and 2 more$/;
    expect(() => withoutPrefix(other)).toThrow(failure('missing-tensor', message));
    const keyed = { ...other, otherKeys: ['net'] };
    expect(() => withoutPrefix(keyed)).toThrow(/; tensors lie under net, too: name one by the option `key`$/);
  });

  test('another vision transformer is no STAM', () => {
    const vit = new Map(['module.cls_token', 'module.pos_embed'].map((name) => [name, { dtype: 'F32', shape: [] }]));
    expect(() => withoutPrefix({ ...plain, tensors: vit })).toThrow(
      /it is no STAM; got module\.cls_token, module\.pos_embed$/,
    );
  });

  test('of two models neither is taken', () => {
    const first = renamed((name) => `student.${name}`);
    const second = renamed((name) => `teacher.${name}`);
    const both = { ...first, tensors: new Map([...first.tensors, ...second.tensors]) };
    const message =
      /^file: there are several models of STAM .*; got names that begin with student\., teacher\.; name one by the option `key`, for example teacher$/;
    expect(() => withoutPrefix(both)).toThrow(failure('bad-checkpoint', message));
  });
});
