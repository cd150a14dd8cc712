import fc from 'fast-check';
import { unicodeGlyphs } from '../text/style.ts';
import { belowText, layoutNested, layoutTree } from './tree.ts';

const draw = (nodes: { alias: string; needs: string[] }[]): string[] =>
  layoutTree(nodes, unicodeGlyphs).map(({ node, prefix }) => prefix + node.alias);

test('a node hangs under the need with the longest way to it, of equals under the last', () => {
  expect(
    draw([
      { alias: 'vpc', needs: [] },
      { alias: 'db', needs: ['vpc'] },
      { alias: 'eks', needs: ['vpc'] },
      { alias: 'addons', needs: ['eks'] },
      { alias: 'billing', needs: ['db', 'addons'] },
      { alias: 'report', needs: ['db', 'eks'] },
      { alias: 'alone', needs: [] },
    ]),
  ).toEqual(['vpc', '├─ db', '└─ eks', '   ├─ addons', '   │  └─ billing', '   └─ report', 'alone']);
});

test('needs outside of the run, doubled needs and cycles do no harm', () => {
  expect(
    draw([
      { alias: 'a', needs: ['gone', 'gone'] },
      { alias: 'b', needs: ['a', 'a'] },
    ]),
  ).toEqual(['a', '└─ b']);
  expect(() =>
    draw([
      { alias: 'a', needs: ['b'] },
      { alias: 'b', needs: ['a'] },
    ]),
  ).not.toThrow();
});

test('a workflow of the graph is a row with its own tree below, before what hangs under it', () => {
  const at = (alias: string, needs: string[], within: string[] = []) => ({ alias, needs, within });
  const nodes = [
    at('base/net/vpc', ['account'], ['base', 'base/net']),
    at('base/net/dns', ['account'], ['base', 'base/net']),
    at('base/log', ['base/net/vpc', 'base/net/dns'], ['base']),
    at('account', []),
    at('db', ['base/log']),
    at('web', ['base/log', 'account']),
  ];
  const rows = layoutNested(nodes, (alias) => at(alias, []), unicodeGlyphs);
  expect(rows.map(({ node, prefix }) => prefix + node.alias)).toEqual([
    'account',
    '└─ base',
    '   ┊  base/net',
    '   ┊  ┊  base/net/vpc',
    '   ┊  ┊  base/net/dns',
    '   ┊  └─ base/log',
    '   ├─ db',
    '   └─ web',
  ]);
});

test('a chain of thousands stays within the terminal and within the stack', () => {
  const lines = draw(chain(5000));
  expect(lines).toHaveLength(5000);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(40);
});

test('each node of any graph without cycles is drawn once, below everything it hangs under', () => {
  const graph = fc.array(fc.array(fc.nat(30), { maxLength: 4 }), { maxLength: 30 });
  fc.assert(
    fc.property(graph, (lists) => {
      const nodes = lists.map((needs, i) => ({
        alias: `n${i}`,
        needs: needs.filter((need) => need < i).map((need) => `n${need}`),
      }));
      const rows = layoutTree(nodes, unicodeGlyphs).map(({ node }) => node.alias);
      expect([...rows].sort()).toEqual(nodes.map(({ alias }) => alias).sort());
    }),
  );
});

const chain = (length: number) =>
  Array.from({ length }, (_, i) => ({ alias: `n${i}`, needs: i === 0 ? [] : [`n${i - 1}`] }));

test('in a chain of twelve each node stands further in than the one it hangs under', () => {
  const rows = layoutTree(chain(12), unicodeGlyphs);
  const columns = rows.map(({ prefix }) => prefix.length);
  expect(columns).toEqual([...new Set(columns)].sort((a, b) => a - b));
  expect(Math.max(...columns)).toBeLessThanOrEqual(24);
  expect(rows.every(({ below }) => below === null)).toBe(true);
});

test('rows that cannot be moved in further say what they hang under, so that a child is no sibling', () => {
  const nodes = [...chain(15), { alias: 'fork', needs: ['n13'] }, { alias: 'aside', needs: ['n11'] }];
  const rows = layoutTree(nodes, unicodeGlyphs).slice(-6);
  expect(rows.map(({ node, prefix, below }) => prefix.trim() + node.alias + belowText(below))).toEqual([
    '└─n11',
    '├─n12',
    '├─n13 (after n12)',
    '├─n14 (after n13)',
    '├─fork (after n13)',
    '└─aside',
  ]);
});
