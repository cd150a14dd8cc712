import type { Glyphs } from '../text/style.ts';
import { oneLine, widthOf } from '../text/width.ts';

export interface TreeNode {
  readonly alias: string;
  readonly needs: readonly string[];
}

export interface TreeRow<T> {
  readonly node: T;
  /** Lines that connect it with the row it hangs under. */
  readonly prefix: string;
  /** What stands before the rows that hang under it. */
  readonly indent: string;
  /** What it hangs under, where the lines cannot show it: in rows that are too deep to be moved in further. */
  readonly below: T | null;
}

/** Columns that lines may take, so that a chain of a thousand does not leave the terminal. */
const room = 24;

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

  const levels = deepestOf(children, roots);
  // Deep graphs are moved in by two columns a level instead of three.
  const narrow = levels * widthOf(glyphs.branch) > room;
  const cut = (text: string): string => (narrow ? text.slice(0, 2) : text);
  const deepest = Math.floor(room / widthOf(cut(glyphs.branch)));
  const rows: TreeRow<T>[] = [];
  // A stack of our own: a chain of thousands would be too deep for the language's.
  const open: Open[] = roots.toReversed().map((index) => ({ index, depth: 0, last: true, indent: '', below: -1 }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const node = nodes[next.index];
    if (!node) continue;
    const { depth, indent, last } = next;
    const prefix = depth === 0 ? '' : indent + cut(last ? glyphs.lastBranch : glyphs.branch);
    const own = children[next.index] ?? [];
    const inner = depth === 0 ? '' : indent + cut(last ? '   ' : glyphs.trunk);
    rows.push({ node, prefix, indent: inner, below: nodes[next.below] ?? null });
    // Too deep to go in further: the rows stay at this level, and say what they hang under.
    const flat = depth >= deepest;
    own.toReversed().forEach((index, reversed) => {
      const end = reversed === 0;
      open.push(
        flat
          ? { index, depth, last: last && end, indent, below: next.index }
          : { index, depth: depth + 1, last: end, indent: inner, below: -1 },
      );
    });
    // What comes after it at its own level is the line that has to go on.
    const row = rows.at(-1);
    if (flat && own.length > 0 && last && row) rows[rows.length - 1] = { ...row, prefix: indent + cut(glyphs.branch) };
  }
  return rows;
}

/** A node that may be in workflows of the graph. */
export interface NestedNode extends TreeNode {
  /** Paths of those workflows, outermost first. */
  readonly within: readonly string[];
}

/**
 * The same where some nodes are in workflows of the graph: each workflow is a row, made by `groupOf`, with the tree of its
 * own nodes below it, before what hangs under it.
 */
export function layoutNested<T extends NestedNode>(
  nodes: readonly T[],
  groupOf: (alias: string, members: readonly T[]) => T | null,
  glyphs: Glyphs,
): TreeRow<T>[] {
  return layoutLevel(nodes, 0, { groupOf, glyphs });
}

interface Item<T> extends TreeNode {
  readonly node: T;
  /** Of a workflow. */
  readonly members: readonly T[];
}

function layoutLevel<T extends NestedNode>(
  nodes: readonly T[],
  level: number,
  options: { readonly groupOf: (alias: string, members: readonly T[]) => T | null; readonly glyphs: Glyphs },
): TreeRow<T>[] {
  const { groupOf, glyphs } = options;
  if (nodes.every((node) => node.within.length <= level)) return layoutTree(nodes, glyphs);
  // Where a node of this level or of one below is found at this level.
  const placeOf = new Map(nodes.map((node) => [node.alias, node.within[level] ?? node.alias]));
  const byPlace = new Map<string, T[]>();
  for (const node of nodes) {
    const place = node.within[level] ?? node.alias;
    byPlace.set(place, [...(byPlace.get(place) ?? []), node]);
  }
  const items = [...byPlace].flatMap(([alias, members]): Item<T>[] => {
    const isGroup = members.some((node) => node.within.length > level);
    const node = isGroup ? groupOf(alias, members) : (members[0] ?? null);
    if (node === null) return [];
    const needs = members.flatMap((member) => member.needs.flatMap((need) => placeOf.get(need) ?? []));
    return [{ alias, needs: needs.filter((need) => need !== alias), node, members: isGroup ? members : [] }];
  });
  return layoutTree(items, glyphs).flatMap(({ node: item, prefix, indent, below }) => [
    { node: item.node, prefix, indent, below: below?.node ?? null },
    ...layoutLevel(item.members, level + 1, options).map((row) => ({
      ...row,
      prefix: `${indent}${glyphs.inside}${row.prefix}`,
      indent: `${indent}${glyphs.inside}${row.indent}`,
    })),
  ]);
}

/** What a row hangs under, in words; empty where the lines show it. By its alias, since there is little room. */
export function belowText(below: TreeNode | null): string {
  return below === null ? '' : ` (after ${oneLine(below.alias)})`;
}

interface Open {
  readonly index: number;
  readonly depth: number;
  readonly last: boolean;
  readonly indent: string;
  /** Index of what it hangs under, when the lines do not show it. */
  readonly below: number;
}

/** Levels below the roots. */
function deepestOf(children: readonly (readonly number[])[], roots: readonly number[]): number {
  let levels = 0;
  for (let row: readonly number[] = roots; ; levels++) {
    const next = row.flatMap((index) => children[index] ?? []);
    if (next.length === 0) return levels;
    row = next;
  }
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
