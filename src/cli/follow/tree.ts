import type { Glyphs } from '../text/style.ts';

export interface TreeNode {
  readonly alias: string;
  readonly needs: readonly string[];
}

export interface TreeRow<T> {
  readonly node: T;
  /** Lines that connect it with the row it hangs under. */
  readonly prefix: string;
}

/** Deeper rows are shown at this depth, so that a chain of a thousand does not leave the terminal. */
const deepest = 8;

/**
 * A graph drawn as a tree: each node hangs under the need with the longest way from a root, and of equals under the one
 * that comes last, so that a row stands below everything it waits for. Needs that are not in `nodes` count as settled.
 */
export function layoutTree<T extends TreeNode>(nodes: readonly T[], glyphs: Glyphs): TreeRow<T>[] {
  const position = new Map(nodes.map((node, index) => [node.alias, index]));
  const needs = nodes.map((node) => [...new Set(node.needs)].flatMap((alias) => position.get(alias) ?? []));
  const depths = longestPaths(needs);

  const children = nodes.map((): number[] => []);
  const roots: number[] = [];
  nodes.forEach((_, index) => {
    let parent = -1;
    for (const need of needs[index] ?? []) {
      const depth = depths[need] ?? 0;
      const best = parent < 0 ? -1 : (depths[parent] ?? 0);
      if (depth > best || (depth === best && need > parent)) parent = need;
    }
    if (parent < 0) roots.push(index);
    else children[parent]?.push(index);
  });

  const rows: TreeRow<T>[] = [];
  // A stack of our own: a chain of thousands would be too deep for the language's.
  const open = roots.toReversed().map((index) => ({ index, depth: 0, last: true, indent: '' }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const node = nodes[next.index];
    if (!node) continue;
    const { depth, indent, last } = next;
    rows.push({ node, prefix: depth === 0 ? '' : indent + (last ? glyphs.lastBranch : glyphs.branch) });
    const below = depth === 0 ? '' : indent + (last ? '   ' : glyphs.trunk);
    const own = children[next.index] ?? [];
    const flat = depth >= deepest;
    own.toReversed().forEach((index, reversed) => {
      const child = flat
        ? { index, depth, last, indent }
        : { index, depth: depth + 1, last: reversed === 0, indent: below };
      open.push(child);
    });
  }
  return rows;
}

/** Length of the longest way to each node; nodes on a cycle count from 0. */
function longestPaths(needs: readonly (readonly number[])[]): number[] {
  const depths = needs.map(() => 0);
  const missing = needs.map((list) => list.length);
  const dependents = needs.map((): number[] => []);
  needs.forEach((list, index) => {
    for (const need of list) dependents[need]?.push(index);
  });
  const ready = missing.flatMap((count, index) => (count === 0 ? [index] : []));
  for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
    for (const dependent of dependents[next] ?? []) {
      depths[dependent] = Math.max(depths[dependent] ?? 0, (depths[next] ?? 0) + 1);
      missing[dependent] = (missing[dependent] ?? 0) - 1;
      if (missing[dependent] === 0) ready.push(dependent);
    }
  }
  return depths;
}
