import fc from 'fast-check';
import type { ResourceChange } from '../../model/index.ts';
import { driftLines } from './drift.ts';
import { describeCounts, formatBytes, formatDuration, formatRelative, shellQuote, someOf } from './format.ts';
import { renderFields, renderTable } from './table.ts';
import { oneLine, safeText, truncate, widthOf, wrap } from './width.ts';

describe('durations', () => {
  test.each([
    [0, '0.0 s'],
    [1_140, '1.1 s'],
    [9_949, '9.9 s'],
    [9_960, '10 s'],
    [41_000, '41 s'],
    [130_000, '2 min 10 s'],
    [120_000, '2 min'],
    [3 * 3_600_000 + 5 * 60_000, '3 h 5 min'],
    [13 * 86_400_000 + 23 * 3_600_000, '13 d 23 h'],
  ])('%d ms is %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

  test('moments are told from now, in both directions', () => {
    const now = Date.parse('2026-03-01T12:00:00Z');
    expect(formatRelative('2026-03-01T11:57:00Z', now)).toBe('3 min ago');
    expect(formatRelative('2026-03-01T12:00:00Z', now)).toBe('now');
    expect(formatRelative('2026-03-15T11:00:00Z', now)).toBe('in 13 d 23 h');
    expect(formatRelative('2026-02-20T11:00:00Z', now)).toBe('9 d ago');
    expect(formatRelative(null, now)).toBe('-');
  });
});

test('counts, sizes and lists read as sentences', () => {
  expect(describeCounts({ add: 1, change: 2, destroy: 0 })).toBe('1 to add, 2 to change');
  expect(describeCounts({ add: 0, change: 0, destroy: 0 })).toBe('nothing to change');
  expect(formatBytes(999)).toBe('999 B');
  expect(formatBytes(20_000_000)).toBe('20.0 MB');
  expect(someOf(['a', 'b', 'c'], 2)).toBe('a, b, c');
  expect(someOf(['a', 'b', 'c', 'd'], 2)).toBe('a, b and 2 more');
});

test('printed commands can be pasted into a shell', () => {
  expect(shellQuote('shop/eks')).toBe('shop/eks');
  expect(shellQuote('my shop/日本')).toBe("'my shop/日本'");
  expect(shellQuote("it's $(x)")).toBe(`'it'\\''s $(x)'`);
  expect(shellQuote('--yes')).toBe("'--yes'");
});

describe('width', () => {
  test('wide characters and emoji take two columns, marks and colour codes none', () => {
    expect(widthOf('abc')).toBe(3);
    expect(widthOf('日本')).toBe(4);
    expect(widthOf('🚀 go')).toBe(5);
    expect(widthOf('e\u0301')).toBe(1);
    expect(widthOf('\u001b[31mred\u001b[0m')).toBe(3);
  });

  test('truncate never exceeds the width', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.integer({ min: 0, max: 30 }), (text, width) => {
        expect(widthOf(truncate(text, width))).toBeLessThanOrEqual(width);
      }),
    );
    expect(truncate('Notification Service', 8)).toBe('Notific…');
  });

  test('long words stay whole when a text is wrapped', () => {
    expect(wrap('a bb ccc dddddddddd e', 6)).toEqual(['a bb', 'ccc', 'dddddddddd', 'e']);
  });

  test('text from outside cannot steer the terminal', () => {
    expect(oneLine('a\u001b[2J\u001b]0;title\u0007b\nc\rd\u202ee')).toBe('ab c de');
    expect(safeText('one\r\ntwo\u001b[1Athree\u0008\tx')).toBe('one\ntwothree\tx');
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(oneLine(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
        expect(safeText(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      }),
    );
  });
});

describe('tables', () => {
  const items = [
    { id: 'env_01jd3k9x2m7q4w8s5t6v', name: 'Online shop with a rather long name', size: 3 },
    { id: 'env_01jd3k9x2m7q4w8s5t6w', name: 'a', size: 12 },
  ];
  const columns = [
    { title: 'name', value: (item: (typeof items)[number]) => item.name },
    { title: 'size', value: (item: (typeof items)[number]) => item.size, align: 'right' as const },
    { title: 'id', value: (item: (typeof items)[number]) => item.id, keep: true },
  ];

  test('columns are aligned', () => {
    expect(renderTable(items, columns, 200)).toEqual([
      'NAME                                 SIZE  ID',
      'Online shop with a rather long name     3  env_01jd3k9x2m7q4w8s5t6v',
      'a                                      12  env_01jd3k9x2m7q4w8s5t6w',
    ]);
  });

  test('names are cut to the width of the terminal, ids never', () => {
    expect(renderTable(items, columns, 50)).toEqual([
      'NAME                SIZE  ID',
      'Online shop with …     3  env_01jd3k9x2m7q4w8s5t6v',
      'a                     12  env_01jd3k9x2m7q4w8s5t6w',
    ]);
    for (const line of renderTable(items, columns, 10)) expect(line).toMatch(/ID$|env_01jd3k9x2m7q4w8s5t6[vw]$/);
  });

  test('fields without a value are left out', () => {
    expect(
      renderFields([
        ['id', 'x'],
        ['expires', null],
        ['status', 'active'],
      ]),
    ).toEqual(['id      x', 'status  active']);
  });
});

describe('drift', () => {
  const change = (more: Partial<ResourceChange>): ResourceChange => ({
    address: 'aws_instance.web',
    type: 'aws_instance',
    action: 'update',
    ...more,
  });

  test('shows what a changed resource was and is, and only what differs', () => {
    const before = { size: 'small', tags: { a: 1 }, same: true, gone: 'x' };
    const after = { size: 'large', tags: { a: 2 }, same: true };
    expect(driftLines([change({ before, after })], { arrow: '→' })).toEqual([
      'changed aws_instance.web',
      '  size: "small" → "large"',
      '  tags: {"a":1} → {"a":2}',
      '  gone: "x" → null',
    ]);
  });

  test('shows what a deploy would make of it: was, is, would be', () => {
    const before = { size: 'small', id: 'i-1', open: false };
    const lines = (more: Partial<ResourceChange>): string[] => driftLines([change(more)], { arrow: '→' });
    const after = { ...before, size: 'large' };
    expect(lines({ before, after, planned: { ...before, size: 'medium', id: '(known after apply)' } })).toEqual([
      'changed aws_instance.web',
      '  size: "small" → "large" → "medium"',
    ]);
    expect(lines({ before, after: before, planned: { ...before, open: true } })).toEqual([
      'differs aws_instance.web',
      '  open: false → false → true',
    ]);
    expect(lines({ action: 'delete', before, after: null, planned: before })).toEqual([
      'gone aws_instance.web, a deploy makes it anew',
    ]);
    expect(lines({ action: 'create', before: null, after: null, planned: before })).toEqual([
      'missing aws_instance.web, a deploy makes it',
    ]);
  });

  test('is short for what is gone, long values and many resources, and safe to print', () => {
    expect(driftLines([change({ action: 'delete', before: { a: 1 }, after: null })], { arrow: '→' })).toEqual([
      'gone aws_instance.web',
    ]);
    const [, line = ''] = driftLines([change({ before: { a: '\u001b[31m' }, after: { a: 'x'.repeat(500) } })], {
      arrow: '→',
    });
    expect(line).not.toContain('\u001b');
    expect(line.length).toBeLessThan(100);
    const many = Array.from({ length: 60 }, () => change({ action: 'delete' }));
    expect(driftLines(many, { arrow: '→' }).at(-1)).toBe('… and 10 more');
  });
});
