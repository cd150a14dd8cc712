import fc from 'fast-check';
import type { GraphNode } from './graph.ts';
import {
  areUpstream,
  dedupeNeeds,
  downstreamOf,
  findCycles,
  longestPath,
  reverseGraph,
  topologicalOrder,
  upstreamOf,
} from './graph.ts';

const shop: readonly GraphNode[] = [
  { alias: 'billing', needs: ['db', 'eks', 'db'] },
  { alias: 'vpc', needs: [] },
  { alias: 'db', needs: ['vpc'] },
  { alias: 'eks', needs: ['vpc'] },
  { alias: 'docs', needs: [] },
];

function aliasOf(i: number): string {
  return `n${i}`;
}

/** A graph without cycles: each node may need any before it; then shuffled. */
const acyclic = fc
  .array(fc.array(fc.nat(), { maxLength: 6 }), { maxLength: 40 })
  .map((rows) =>
    rows.map((row, i): GraphNode => ({ alias: aliasOf(i), needs: i === 0 ? [] : row.map((n) => aliasOf(n % i)) })),
  )
  .chain((nodes) => fc.shuffledSubarray(nodes, { minLength: nodes.length, maxLength: nodes.length }));

/** Any graph, with cycles, self-needs, duplicates and needs of nodes that are not there. */
const anyGraph = fc
  .array(fc.array(fc.nat({ max: 14 }), { maxLength: 4 }), { maxLength: 12 })
  .map((rows) => rows.map((row, i): GraphNode => ({ alias: aliasOf(i), needs: row.map(aliasOf) })));

/** Slow and obviously right: what can be reached over needs. */
function reachable(nodes: readonly GraphNode[], from: string): Set<string> {
  const needs = new Map(
    nodes.map((node) => [node.alias, node.needs.filter((need) => nodes.some((other) => other.alias === need))]),
  );
  const seen = new Set<string>();
  for (;;) {
    const before = seen.size;
    for (const alias of [from, ...seen]) for (const need of needs.get(alias) ?? []) seen.add(need);
    if (seen.size === before) return seen;
  }
}

describe('order', () => {
  it('puts what is needed first and keeps the given order otherwise', () => {
    expect(topologicalOrder(shop)).toEqual({ order: ['vpc', 'docs', 'db', 'eks', 'billing'], cycle: null });
  });

  it('holds every alias once, after all it needs', () => {
    fc.assert(
      fc.property(acyclic, (nodes) => {
        const { order } = topologicalOrder(nodes);
        expect(order).not.toBeNull();
        const place = new Map((order ?? []).map((alias, i) => [alias, i]));
        expect(place.size).toBe(nodes.length);
        for (const node of nodes) {
          for (const need of node.needs) expect(place.get(need)).toBeLessThan(place.get(node.alias) ?? -1);
        }
      }),
    );
  });

  it('exists exactly when there is no cycle', () => {
    fc.assert(
      fc.property(anyGraph, (nodes) => {
        const cyclic = nodes.some((node) => reachable(nodes, node.alias).has(node.alias));
        expect(topologicalOrder(nodes).order === null).toBe(cyclic);
        expect(findCycles(nodes).length > 0).toBe(cyclic);
      }),
    );
  });
});

describe('cycles', () => {
  it('are closed, and each node needs the next', () => {
    fc.assert(
      fc.property(anyGraph, (nodes) => {
        for (const cycle of findCycles(nodes)) {
          expect(cycle[0]).toBe(cycle[cycle.length - 1]);
          expect(new Set(cycle).size).toBe(cycle.length - 1);
          for (let i = 0; i + 1 < cycle.length; i++) {
            expect(nodes.find((node) => node.alias === cycle[i])?.needs).toContain(cycle[i + 1]);
          }
        }
      }),
    );
  });

  it('are found one for each knot', () => {
    const nodes = [
      { alias: 'a', needs: ['b'] },
      { alias: 'b', needs: ['c', 'a'] },
      { alias: 'c', needs: ['a'] },
      { alias: 'd', needs: ['d', 'a'] },
      { alias: 'e', needs: ['d'] },
    ];
    expect(findCycles(nodes)).toEqual([
      ['a', 'b', 'a'],
      ['d', 'd'],
    ]);
  });
});

describe('reverse', () => {
  it('turns every edge and is its own inverse', () => {
    fc.assert(
      fc.property(acyclic, (nodes) => {
        const edges = (graph: readonly GraphNode[]) =>
          graph.flatMap((node) => dedupeNeeds(node.needs).map((need) => `${node.alias}>${need}`)).sort();
        const turned = reverseGraph(nodes);
        expect(edges(turned)).toEqual(
          nodes.flatMap((node) => dedupeNeeds(node.needs).map((need) => `${need}>${node.alias}`)).sort(),
        );
        expect(edges(reverseGraph(turned))).toEqual(edges(nodes));
      }),
    );
  });
});

describe('closures', () => {
  it('upstream is what can be reached over needs', () => {
    fc.assert(
      fc.property(anyGraph, fc.nat({ max: 13 }), (nodes, i) => {
        expect(upstreamOf(nodes, [aliasOf(i)])).toEqual(reachable(nodes, aliasOf(i)));
      }),
    );
  });

  it('downstream is upstream of the reversed graph', () => {
    fc.assert(
      fc.property(anyGraph, fc.array(fc.nat({ max: 13 }), { maxLength: 3 }), (nodes, starts) => {
        const from = starts.map(aliasOf);
        expect(downstreamOf(nodes, from)).toEqual(upstreamOf(reverseGraph(nodes), from));
      }),
    );
  });

  it('pairs are answered as the closure says, for more producers than bits too', () => {
    fc.assert(
      fc.property(fc.oneof(acyclic, anyGraph), (nodes) => {
        const pairs = nodes.flatMap((of) => nodes.map((producer) => ({ of: of.alias, producer: producer.alias })));
        expect(areUpstream(nodes, pairs)).toEqual(pairs.map((pair) => reachable(nodes, pair.of).has(pair.producer)));
      }),
      { numRuns: 50 },
    );
  });
});

describe('longest path', () => {
  it('is the chain that takes longest', () => {
    const durations: Record<string, number> = { vpc: 1, db: 9, eks: 12, billing: 2, docs: 14 };
    expect(longestPath(shop, (alias) => durations[alias] ?? 0)).toEqual({
      aliases: ['vpc', 'eks', 'billing'],
      total: 15,
    });
  });

  it('is a chain of needs that no other chain exceeds', () => {
    fc.assert(
      fc.property(acyclic, fc.array(fc.nat({ max: 50 }), { minLength: 40, maxLength: 40 }), (nodes, times) => {
        const durationOf = (alias: string) => times[Number(alias.slice(1))] ?? 0;
        const longest = longestPath(nodes, durationOf);
        const best = new Map<string, number>();
        for (const alias of topologicalOrder(nodes).order ?? []) {
          const needs = nodes.find((node) => node.alias === alias)?.needs ?? [];
          best.set(alias, durationOf(alias) + Math.max(0, ...needs.map((need) => best.get(need) ?? 0)));
        }
        expect(longest?.total).toBe(Math.max(0, ...best.values()));
        expect((longest?.aliases ?? []).reduce((sum, alias) => sum + durationOf(alias), 0)).toBe(longest?.total);
      }),
    );
  });

  it('does not exist in a cycle', () => {
    expect(longestPath([{ alias: 'a', needs: ['a'] }], () => 1)).toBeNull();
  });
});

describe('size', () => {
  it('a chain of 10,000 nodes overflows nothing', () => {
    const chain = Array.from({ length: 10_000 }, (_, i): GraphNode => ({
      alias: aliasOf(i),
      needs: i === 0 ? [] : [aliasOf(i - 1)],
    }));
    expect(topologicalOrder([...chain].reverse()).order?.[0]).toBe('n0');
    expect(upstreamOf(chain, ['n9999']).size).toBe(9999);
    expect(longestPath(chain, () => 1)?.total).toBe(10_000);
    const closed = [{ alias: 'n0', needs: ['n9999'] }, ...chain.slice(1)];
    expect(findCycles(closed)[0]?.length).toBe(10_001);
  });
});
