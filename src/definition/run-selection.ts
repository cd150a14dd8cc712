import type { PartialRun, SkipReason } from '../model/deployment.ts';
import type { RunNode } from '../model/orchestration.ts';
import type { Problem } from '../model/errors.ts';
import { isMeant } from './node-path.ts';
import type { PlacedNode } from './node-path.ts';

/** A node of a graph before it is decided what this run does to it. */
export interface SelectableNode extends PlacedNode {
  readonly needs: readonly string[];
  readonly disabled: boolean;
  /** Deployed now, so that others may build on it. */
  readonly live: boolean;
  /** Whose outputs it reads; all of them are upstream. */
  readonly reads?: readonly string[] | undefined;
  readonly timeoutSeconds?: number | undefined;
}

export interface Selection {
  readonly nodes: RunNode[];
  readonly problems: Problem[];
}

/** `onChange`: only when what it needs or reads has changed its outputs. */
export type Choice = 'run' | 'onChange' | 'keep';

const notSelected: SkipReason = { kind: 'notSelected', message: 'not part of this run' };
const disabled: SkipReason = { kind: 'disabled', message: 'disabled in the workflow file' };

/** What a deploy does to each node: all of the graph, or the part that was asked for. */
export function selectForDeploy(
  nodes: readonly SelectableNode[],
  options: {
    readonly partial?: PartialRun | undefined;
    /** Decides for each node, instead of the part that was asked for. */
    readonly choose?: ((alias: string) => Choice) | undefined;
    /** Why nodes that are not chosen are kept. */
    readonly keptBecause?: SkipReason | undefined;
    /** Sub-environments the file no longer lists, to be destroyed at the end. */
    readonly removed?: readonly SelectableNode[] | undefined;
    /** What else the records know: removed nodes may need each other through it. */
    readonly others?: readonly SelectableNode[] | undefined;
  },
): Selection {
  const { partial, choose } = options;
  const isAsked = (node: SelectableNode): boolean => partial !== undefined && isMeant(node, partial.node);
  if (partial !== undefined && !nodes.some(isAsked)) {
    return {
      nodes: [],
      problems: [
        { message: `the graph has no node "${partial.node}"; it has ${listed(nodes.map((node) => node.alias))}` },
      ],
    };
  }
  if (partial?.operation === 'single-node-destroy') return selectSingleDestroy(nodes, partial);
  const index = indexByAlias(nodes);
  const below = partial === undefined ? null : downstream(nodes, nodes.filter(isAsked));
  const chosen = (node: SelectableNode): Choice => {
    if (choose !== undefined) return choose(node.alias);
    if (partial === undefined) return 'run';
    if (isAsked(node)) return 'run';
    if (below?.has(node.alias) !== true) return 'keep';
    if (partial.operation === 'run-from-here' || partial.trickleDown === 'all') return 'run';
    return partial.trickleDown === 'changed-outputs' ? 'onChange' : 'keep';
  };
  const forward = nodes.map((node): RunNode => {
    const choice = chosen(node);
    const needs = needIndexes(node.needs, index);
    const common = { alias: node.alias, needs };
    // Asking for one node by name runs it although the file has it disabled.
    if (node.disabled && partial?.node !== node.alias)
      return { ...common, action: 'keep', satisfied: node.live, keptBecause: disabled };
    if (choice === 'keep')
      return { ...common, action: 'keep', satisfied: node.live, keptBecause: options.keptBecause ?? notSelected };
    return {
      ...common,
      action: 'deploy',
      ...(choice === 'onChange' ? onlyOnChange(node, needs, index) : {}),
      ...(node.timeoutSeconds === undefined ? {} : { timeoutSeconds: node.timeoutSeconds }),
    };
  });
  return {
    nodes: [...forward, ...selectRemoved(needsThrough(options.removed ?? [], options.others), forward.length)],
    problems: [],
  };
}

/** Destroys all the nodes, each when all that needs it is gone, also through what is `gone` already. */
export function selectForDestroy(existing: readonly SelectableNode[], gone: readonly SelectableNode[] = []): RunNode[] {
  const nodes = needsThrough(existing, gone);
  const index = indexByAlias(nodes);
  const dependents = reversedNeeds(nodes, index);
  return nodes.map((node, position) => ({
    alias: node.alias,
    needs: dependents[position] ?? [],
    action: 'destroy',
    ...(node.timeoutSeconds === undefined ? {} : { timeoutSeconds: node.timeoutSeconds }),
  }));
}

/** Plans every node in dependency order; checks for drift look at each node by itself. */
export function selectForReading(nodes: readonly SelectableNode[], action: 'plan' | 'drift', only?: string): RunNode[] {
  const index = indexByAlias(nodes);
  return nodes.map((node): RunNode => {
    const needs = action === 'plan' ? needIndexes(node.needs, index) : [];
    if (only !== undefined && !isMeant(node, only))
      return { alias: node.alias, needs, action: 'keep', satisfied: true, keptBecause: notSelected };
    if (node.disabled) return { alias: node.alias, needs, action: 'keep', satisfied: true, keptBecause: disabled };
    if (action === 'drift' && !node.live) {
      return {
        alias: node.alias,
        needs,
        action: 'keep',
        satisfied: true,
        keptBecause: { kind: 'notSelected', message: 'not deployed' },
      };
    }
    return { alias: node.alias, needs, action };
  });
}

const detachReason: SkipReason = {
  kind: 'removed',
  message: 'no longer in the file: a deploy lets it go, and its resources stay',
};

/** What a deploy would do: first what it would take away, then what it would do to each node. */
export function selectForPlan(
  nodes: readonly SelectableNode[],
  options: {
    readonly only?: string | undefined;
    /** Sub-environments the file no longer lists, which a deploy would destroy. */
    readonly removed?: readonly SelectableNode[] | undefined;
    /** Those which it would let go. */
    readonly detached?: readonly SelectableNode[] | undefined;
  },
): RunNode[] {
  const { only, removed = [], detached = [] } = options;
  const first = [
    ...removed.map(({ alias }): RunNode => ({ alias, needs: [], action: 'plan', removal: 'destroy' })),
    ...detached.map(({ alias }): RunNode => ({
      alias,
      needs: [],
      action: 'keep',
      satisfied: true,
      removal: 'detach',
      keptBecause: detachReason,
    })),
  ];
  const rest = selectForReading(nodes, 'plan', only);
  return [...first, ...rest.map((node) => ({ ...node, needs: node.needs.map((need) => need + first.length) }))];
}

/** The same selection as a plan of it, with what would be taken away first. */
export function asPlan(nodes: readonly RunNode[]): RunNode[] {
  const order = nodes.map((_node, index) => index);
  const going = order.filter((index) => nodes[index]?.removal === 'destroy');
  const places = [...going, ...order.filter((index) => !going.includes(index))];
  const place = new Map(places.map((index, at) => [index, at]));
  return places.flatMap((index): RunNode[] => {
    const node = nodes[index];
    if (node === undefined) return [];
    const { last: _last, onlyOnChange: _onChange, reads: _reads, ...rest } = node;
    if (node.removal === 'destroy') return [{ ...rest, needs: [], action: 'plan' }];
    const needs = node.needs.flatMap((need) => place.get(need) ?? []);
    return [{ ...rest, needs, action: node.action === 'keep' ? 'keep' : 'plan' }];
  });
}

/** What stands directly on each node, also through what is gone; nodes that nothing stands on are left out. */
export function liveDependents(nodes: readonly SelectableNode[]): Map<string, string[]> {
  const gone = nodes.filter((node) => !node.live);
  const dependents = new Map<string, string[]>();
  for (const node of needsThrough(
    nodes.filter(({ live }) => live),
    gone,
  )) {
    for (const need of node.needs) {
      if (need === node.alias) continue;
      const list = dependents.get(need);
      if (list === undefined) dependents.set(need, [node.alias]);
      else list.push(node.alias);
    }
  }
  return dependents;
}

function selectSingleDestroy(
  nodes: readonly SelectableNode[],
  partial: Extract<PartialRun, { operation: 'single-node-destroy' }>,
): Selection {
  const isAsked = (node: SelectableNode): boolean => isMeant(node, partial.node);
  const stands = (node: SelectableNode): boolean => node.live || isAsked(node);
  const asked = new Set(nodes.filter(isAsked).map(({ alias }) => alias));
  const standing = needsThrough(
    nodes.filter(stands),
    nodes.filter((node) => !stands(node)),
  );
  const live = standing.filter((node) => !isAsked(node) && node.needs.some((need) => asked.has(need)));
  if (live.length > 0 && !partial.force) {
    return {
      nodes: [],
      problems: [
        {
          message: `"${partial.node}" is needed by ${listed(live.map((node) => node.alias))}, which would be left without it; destroy them first, or use --force`,
        },
      ],
    };
  }
  // Of a workflow each node goes when those in it that need it are gone.
  const going = new Map(standing.filter(isAsked).map((node) => [node.alias, node]));
  const index = indexByAlias(nodes);
  const dependents = reversedNeeds(
    nodes.map(({ alias }) => going.get(alias) ?? { alias, needs: [], disabled: false, live: false }),
    index,
  );
  return {
    nodes: nodes.map((node, position) =>
      isAsked(node)
        ? { alias: node.alias, needs: dependents[position] ?? [], action: 'destroy' }
        : { alias: node.alias, needs: [], action: 'keep', satisfied: true, keptBecause: notSelected },
    ),
    problems: [],
  };
}

function selectRemoved(removed: readonly SelectableNode[], offset: number): RunNode[] {
  const index = indexByAlias(removed);
  return reversedNeeds(removed, index).map((dependents, position) => ({
    alias: removed[position]?.alias ?? '',
    needs: dependents.map((dependent) => dependent + offset),
    action: 'destroy',
    last: true,
    removal: 'destroy',
  }));
}

function indexByAlias(nodes: readonly SelectableNode[]): Map<string, number> {
  return new Map(nodes.map((node, position) => [node.alias, position]));
}

function needIndexes(aliases: readonly string[], index: ReadonlyMap<string, number>): number[] {
  return [...new Set(aliases)].flatMap((alias) => index.get(alias) ?? []);
}

function onlyOnChange(
  node: SelectableNode,
  needs: readonly number[],
  index: ReadonlyMap<string, number>,
): Pick<RunNode, 'onlyOnChange' | 'reads'> {
  const reads = needIndexes(node.reads ?? [], index).filter((read) => !needs.includes(read));
  return { onlyOnChange: true, ...(reads.length > 0 ? { reads } : {}) };
}

/** The nodes with the needs they have through `others` as needs of their own. */
function needsThrough(
  nodes: readonly SelectableNode[],
  others: readonly SelectableNode[] = [],
): readonly SelectableNode[] {
  if (others.length === 0) return nodes;
  const between = new Map(others.map((node) => [node.alias, node]));
  for (const { alias } of nodes) between.delete(alias);
  return nodes.map((node) => {
    const needs = new Set<string>();
    const passed = new Set<string>();
    const waiting = [...node.needs];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const other = between.get(next);
      if (other === undefined) needs.add(next);
      else if (!passed.has(next)) {
        passed.add(next);
        waiting.push(...other.needs);
      }
    }
    return { ...node, needs: [...needs] };
  });
}

function reversedNeeds(nodes: readonly SelectableNode[], index: ReadonlyMap<string, number>): number[][] {
  const dependents: number[][] = nodes.map(() => []);
  nodes.forEach((node, position) => {
    for (const need of needIndexes(node.needs, index)) dependents[need]?.push(position);
  });
  return dependents;
}

function downstream(nodes: readonly SelectableNode[], from: readonly SelectableNode[]): Set<string> {
  const dependents = new Map<string, string[]>();
  for (const node of nodes) {
    for (const need of node.needs) {
      const list = dependents.get(need);
      if (list) list.push(node.alias);
      else dependents.set(need, [node.alias]);
    }
  }
  const found = new Set<string>();
  const waiting = from.map(({ alias }) => alias);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const dependent of dependents.get(next) ?? []) {
      if (found.has(dependent)) continue;
      found.add(dependent);
      waiting.push(dependent);
    }
  }
  return found;
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 10).map((name) => `"${name}"`);
  return names.length > 10 ? `${shown.join(', ')} and ${names.length - 10} more` : shown.join(', ');
}
