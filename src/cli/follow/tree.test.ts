import fc from 'fast-check';
import { unicodeGlyphs } from '../text/style.ts';
import { layoutTree } from './tree.ts';

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

test('a chain of thousands stays within the terminal and within the stack', () => {
  const chain = Array.from({ length: 5000 }, (_, i) => ({ alias: `n${i}`, needs: i === 0 ? [] : [`n${i - 1}`] }));
  const lines = draw(chain);
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
