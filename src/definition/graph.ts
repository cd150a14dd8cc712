/**
 * Algebra of dependency graphs. Pure, without recursion and in linear time, since the graphs come from users and may
 * be a thousand deep. Bundled into the workflow sandbox: no zod, no Node modules.
 *
 * `needs` of aliases that are not in the graph are ignored everywhere; whoever reads a file has reported them.
 */

export interface GraphNode {
  readonly alias: string;
  readonly needs: readonly string[];
}

/** Nodes as numbers, in the order they were given: `needs[i]` and `neededBy[i]` without duplicates. */
interface IndexedGraph {
  readonly aliases: readonly string[];
  readonly index: ReadonlyMap<string, number>;
  readonly needs: readonly (readonly number[])[];
  readonly neededBy: readonly (readonly number[])[];
}

function indexGraph(nodes: readonly GraphNode[]): IndexedGraph {
  const index = new Map(nodes.map((node, i) => [node.alias, i]));
  const neededBy: number[][] = nodes.map(() => []);
  const needs = nodes.map((node, i) => {
    const numbers = new Set<number>();
    for (const alias of node.needs) {
      const need = index.get(alias);
      if (need !== undefined) numbers.add(need);
    }
    for (const need of numbers) neededBy[need]?.push(i);
    return [...numbers];
  });
  return { aliases: nodes.map((node) => node.alias), index, needs, neededBy };
}

/** The same needs, each once, in the order they were first given. */
export function dedupeNeeds(needs: readonly string[]): string[] {
  return [...new Set(needs)];
}

export type TopologicalOrder =
  | { readonly order: readonly string[]; readonly cycle: null }
  /** The cycle closes with the alias it began with: `[a, b, a]`, each needing the next. */
  | { readonly order: null; readonly cycle: readonly string[] };

/** Aliases so that each comes after all it needs; among those that are free, the order given is kept. */
export function topologicalOrder(nodes: readonly GraphNode[]): TopologicalOrder {
  const graph = indexGraph(nodes);
  const order = indexOrder(graph);
  if (order !== null) return { order: order.map((i) => graph.aliases[i] ?? ''), cycle: null };
  return { order: null, cycle: findCycles(nodes)[0] ?? [] };
}

function indexOrder(graph: IndexedGraph): number[] | null {
  const open = graph.needs.map((needs) => needs.length);
  const order: number[] = [];
  open.forEach((count, i) => {
    if (count === 0) order.push(i);
  });
  for (let at = 0; at < order.length; at++) {
    for (const dependent of graph.neededBy[order[at] ?? -1] ?? []) {
      const left = (open[dependent] ?? 0) - 1;
      open[dependent] = left;
      if (left === 0) order.push(dependent);
    }
  }
  return order.length === graph.aliases.length ? order : null;
}

/**
 * One cycle of each knot of the graph, closed: `[a, b, a]` where a needs b and b needs a. It begins with the knot's first
 * node in the order given and is the shortest through it. A node that needs itself is `[a, a]`.
 */
export function findCycles(nodes: readonly GraphNode[]): string[][] {
  const graph = indexGraph(nodes);
  const cycles: string[][] = [];
  const groups = components(graph).filter(
    (group) => group.length > 1 || (graph.needs[group[0] ?? -1] ?? []).includes(group[0] ?? -1),
  );
  for (const group of groups) {
    const first = group.reduce((least, i) => Math.min(least, i), group[0] ?? 0);
    const members = new Set(group);
    cycles.push(shortestCycle(graph, first, members).map((i) => graph.aliases[i] ?? ''));
  }
  return cycles.sort((a, b) => (graph.index.get(a[0] ?? '') ?? 0) - (graph.index.get(b[0] ?? '') ?? 0));
}

function shortestCycle(graph: IndexedGraph, first: number, members: ReadonlySet<number>): number[] {
  const cameFrom = new Map<number, number>();
  const queue = [first];
  for (const at of queue) {
    for (const need of graph.needs[at] ?? []) {
      if (need === first) {
        const path = [first];
        for (let back = at; back !== first; back = cameFrom.get(back) ?? first) path.push(back);
        path.push(first);
        return path.reverse();
      }
      if (!members.has(need) || cameFrom.has(need)) continue;
      cameFrom.set(need, at);
      queue.push(need);
    }
  }
  return [first, first];
}

/** Strongly connected components (Tarjan, with a stack of its own), what is needed before what needs it. */
function components(graph: IndexedGraph): number[][] {
  const size = graph.aliases.length;
  const order = new Int32Array(size).fill(-1);
  const low = new Int32Array(size);
  const onStack = new Uint8Array(size);
  const stack: number[] = [];
  const groups: number[][] = [];
  let counter = 0;
  for (let root = 0; root < size; root++) {
    if (order[root] !== -1) continue;
    const walk: { readonly node: number; next: number }[] = [{ node: root, next: 0 }];
    while (walk.length > 0) {
      const frame = walk[walk.length - 1];
      if (frame === undefined) break;
      const { node } = frame;
      if (frame.next === 0) {
        order[node] = low[node] = counter++;
        stack.push(node);
        onStack[node] = 1;
      }
      const need = graph.needs[node]?.[frame.next++];
      if (need !== undefined) {
        if (order[need] === -1) walk.push({ node: need, next: 0 });
        else if (onStack[need] === 1) low[node] = Math.min(low[node] ?? 0, order[need] ?? 0);
        continue;
      }
      walk.pop();
      const above = walk[walk.length - 1];
      if (above !== undefined) low[above.node] = Math.min(low[above.node] ?? 0, low[node] ?? 0);
      if (low[node] !== order[node]) continue;
      const group: number[] = [];
      for (let member = stack.pop(); member !== undefined; member = stack.pop()) {
        onStack[member] = 0;
        group.push(member);
        if (member === node) break;
      }
      groups.push(group);
    }
  }
  return groups;
}

/** The graph in which everything is needed by what it needed: the order of a destroy. */
export function reverseGraph(nodes: readonly GraphNode[]): GraphNode[] {
  const graph = indexGraph(nodes);
  return graph.aliases.map((alias, i) => ({
    alias,
    needs: (graph.neededBy[i] ?? []).map((dependent) => graph.aliases[dependent] ?? ''),
  }));
}

/** Everything that at least one of these needs, directly or through others. */
export function upstreamOf(nodes: readonly GraphNode[], from: Iterable<string>): Set<string> {
  const graph = indexGraph(nodes);
  return reach(graph, graph.needs, from);
}

/** Everything that needs at least one of these, directly or through others. */
export function downstreamOf(nodes: readonly GraphNode[], from: Iterable<string>): Set<string> {
  const graph = indexGraph(nodes);
  return reach(graph, graph.neededBy, from);
}

function reach(graph: IndexedGraph, edges: readonly (readonly number[])[], from: Iterable<string>): Set<string> {
  const seen = new Set<number>();
  const queue: number[] = [];
  const visit = (start: number): void => {
    for (const next of edges[start] ?? []) {
      if (seen.has(next)) continue;
      seen.add(next);
      queue.push(next);
    }
  };
  for (const alias of from) {
    const start = graph.index.get(alias);
    if (start !== undefined) visit(start);
  }
  for (const at of queue) visit(at);
  return new Set([...seen].map((i) => graph.aliases[i] ?? ''));
}

/** For each pair, whether the first node needs the second, directly or through others. Cycles are allowed. */
export function areUpstream(
  nodes: readonly GraphNode[],
  pairs: readonly { readonly of: string; readonly producer: string }[],
): boolean[] {
  const graph = indexGraph(nodes);
  const answers = pairs.map(() => false);
  const asked = new Map<number, number[]>();
  pairs.forEach((pair, i) => {
    const producer = graph.index.get(pair.producer);
    if (producer === undefined) return;
    const list = asked.get(producer);
    if (list === undefined) asked.set(producer, [i]);
    else list.push(i);
  });
  const groups = asked.size === 0 ? [] : components(graph);
  // One bit a producer: a walk over the graph answers for 31 of them at once.
  const producers = [...asked];
  for (let start = 0; start < producers.length; start += 31) {
    const batch = producers.slice(start, start + 31);
    const own = new Int32Array(graph.aliases.length);
    const above = new Int32Array(graph.aliases.length);
    batch.forEach(([producer], bit) => (own[producer] = 1 << bit));
    for (const group of groups) {
      let bits = 0;
      for (const member of group) {
        for (const need of graph.needs[member] ?? []) bits |= (own[need] ?? 0) | (above[need] ?? 0);
      }
      for (const member of group) above[member] = bits;
    }
    batch.forEach(([, list], bit) => {
      for (const pair of list) {
        const consumer = graph.index.get(pairs[pair]?.of ?? '');
        answers[pair] = consumer !== undefined && ((above[consumer] ?? 0) & (1 << bit)) !== 0;
      }
    });
  }
  return answers;
}

export interface LongestPath {
  /** From the first node to the last. Empty for an empty graph. */
  readonly aliases: readonly string[];
  readonly total: number;
}

/** The chain whose durations add up to most: what a run cannot be faster than. Null for a graph with a cycle. */
export function longestPath(nodes: readonly GraphNode[], durationOf: (alias: string) => number): LongestPath | null {
  const graph = indexGraph(nodes);
  const order = indexOrder(graph);
  if (order === null) return null;
  const total = new Float64Array(nodes.length);
  const before = new Int32Array(nodes.length).fill(-1);
  let last = -1;
  for (const node of order) {
    let best = 0;
    for (const need of graph.needs[node] ?? []) {
      if (before[node] !== -1 && (total[need] ?? 0) <= best) continue;
      best = total[need] ?? 0;
      before[node] = need;
    }
    total[node] = best + durationOf(graph.aliases[node] ?? '');
    if (last === -1 || (total[node] ?? 0) > (total[last] ?? 0)) last = node;
  }
  const path: string[] = [];
  for (let at = last; at !== -1; at = before[at] ?? -1) path.push(graph.aliases[at] ?? '');
  return { aliases: path.reverse(), total: last === -1 ? 0 : (total[last] ?? 0) };
}
