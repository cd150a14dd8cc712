import { createEventReader } from './events.ts';
import { toOutputs, variablesFile, variableTypeOf } from './values.ts';

function read(pieces: readonly [string, boolean][]) {
  const text: string[] = [];
  const progress: string[] = [];
  const reader = createEventReader({ onText: (line) => text.push(line), onProgress: (line) => progress.push(line) });
  for (const [piece, fresh] of pieces) reader.write(piece, fresh);
  return { report: reader.end(), text: text.join(''), progress };
}

const event = (value: object) => `${JSON.stringify({ '@message': 'm', ...value })}\n`;
const resource = (addr: string) => ({ addr, resource_type: addr.split('.')[0] });

test('lines may arrive in any pieces, and unknown or broken ones are shown as they are', () => {
  const whole = event({
    type: 'change_summary',
    '@message': 'Plan: 1',
    changes: { add: 1, change: 0, remove: 0, operation: 'plan' },
  });
  const { report, text } = read([
    [whole.slice(0, 10), true],
    [whole.slice(10), true],
    ['plain text\n{broken\n', true],
    [event({ type: 'from_the_future', '@message': 'news' }), true],
    [event({ type: 'refresh_complete', '@message': 'noise' }), true],
    ['{"type":"planned_change"', true],
  ]);
  expect(report.planCounts).toEqual({ add: 1, change: 0, destroy: 0 });
  expect(text).toBe('Plan: 1\nplain text\n{broken\nnews\n{"type":"planned_change"\n');
});

test('progress counts resources, and a replaced one when both halves are done', () => {
  const plan = (addr: string, action: string) =>
    event({ type: 'planned_change', change: { resource: resource(addr), action } });
  const done = (addr: string, action: string) =>
    event({ type: 'apply_complete', hook: { resource: resource(addr), action } });
  const { progress, report } = read([
    [plan('a.x', 'replace') + plan('b.x', 'create') + plan('c.x', 'noop') + plan('d.x', 'read'), true],
    [done('a.x', 'delete') + done('b.x', 'create') + done('a.x', 'create') + done('unplanned.x', 'create'), true],
  ]);
  expect(progress).toEqual(['0 of 2 resources', '1 of 2 resources', '2 of 2 resources']);
  expect(report.planned.get('a.x')).toEqual({ address: 'a.x', type: 'a', action: 'replace' });
});

test('what an earlier worker has logged counts, but is not logged again', () => {
  const start = event({
    type: 'apply_start',
    '@message': 'Creating',
    hook: { resource: resource('a.x'), action: 'create' },
  });
  const { report, text } = read([
    [start, false],
    ['later\n', true],
  ]);
  expect(report.applyStarted).toBe(true);
  expect(text).toBe('later\n');
});

test('values of variables that a diagnostic quotes from our own file are not shown', () => {
  const { text } = read([
    [
      event({
        type: 'diagnostic',
        diagnostic: {
          severity: 'error',
          summary: 'Invalid value for input variable',
          detail: 'a number is required',
          range: { filename: 'zz-windlass.auto.tfvars.json', start: { line: 2, column: 1 } },
          snippet: { context: null, code: '"need": "hunter2"', start_line: 2 },
        },
      }),
      true,
    ],
  ]);
  expect(text).toContain('Invalid value');
  expect(text).not.toContain('hunter2');
});

test('types of outputs are translated', () => {
  expect(variableTypeOf('string', 'x')).toBe('text');
  expect(variableTypeOf(['set', 'string'], [])).toBe('list');
  expect(variableTypeOf(['object', {}], {})).toBe('map');
  expect(variableTypeOf('dynamic', 3)).toBe('number');
  expect(variableTypeOf(undefined, null)).toBe('text');
  expect(
    toOutputs({ b: { sensitive: true, type: 'bool', value: true }, a: { sensitive: false, type: 'number' } }),
  ).toEqual([
    { name: 'a', type: 'number', value: null, sensitive: false },
    { name: 'b', type: 'boolean', value: true, sensitive: true },
  ]);
});

test('only declared variables are written, one a line', () => {
  const v = (name: string, value: string) => ({ name, type: 'text' as const, value, sensitive: false });
  expect(variablesFile([v('a', '1"'), v('x', '2'), v('b', 'ü')], new Set(['a', 'b']))).toBe(
    '{\n  "a": "1\\"",\n  "b": "ü"\n}\n',
  );
  expect(variablesFile([v('x', '2')], new Set(['a']))).toBeNull();
});
