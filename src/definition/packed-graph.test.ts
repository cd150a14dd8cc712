import fc from 'fast-check';
import { nodeActions } from '../model/index.ts';
import type { RunNode } from '../model/index.ts';
import { packGraph, unpackGraph } from './packed-graph.ts';

const nodes = fc.array(
  fc.record(
    {
      alias: fc.stringMatching(/^[a-z][a-z0-9-]{0,62}$/),
      action: fc.constantFrom(...nodeActions),
      needs: fc.array(fc.nat(300)),
      satisfied: fc.boolean(),
      last: fc.constant(true as const),
      reads: fc.array(fc.nat(300)),
      keptBecause: fc.record({ kind: fc.constant('notSelected' as const), message: fc.string() }),
      timeoutSeconds: fc.nat(),
      taskQueue: fc.string(),
    },
    { requiredKeys: ['alias', 'action', 'needs'] },
  ),
  { maxLength: 300 },
);

it('comes out as it was put in, also through JSON', () => {
  fc.assert(
    fc.property(nodes, (graph: RunNode[]) => {
      expect(unpackGraph(JSON.parse(JSON.stringify(packGraph(graph))))).toEqual(graph);
    }),
  );
});

it('keeps 10,000 nodes with long names far below the 2 MB of a payload', () => {
  const graph = Array.from({ length: 10_000 }, (_, index): RunNode => {
    const needs = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89].map((distance) => index - distance).filter((need) => need >= 0);
    const keptBecause = { kind: 'notSelected', message: 'not part of this run' } as const;
    const alias = `${String(index).padStart(6, '0')}-${'x'.repeat(56)}`;
    return { alias, needs, action: 'keep', satisfied: true, keptBecause };
  });
  expect(JSON.stringify(graph).length).toBeGreaterThan(2_000_000);
  expect(JSON.stringify(packGraph(graph)).length).toBeLessThan(1_000_000);
});

it('does not take what is none', () => {
  const packed = packGraph([{ alias: 'a', needs: [], action: 'deploy' }]);
  expect(() => unpackGraph({ ...packed, actions: 'dd' })).toThrow('node 1');
  expect(() => unpackGraph({ ...packed, actions: '?' })).toThrow('node 0');
});
