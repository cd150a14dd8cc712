import type { RunNode } from '../model/orchestration.ts';

/** The nearest dependents that are undone too, also through nodes that are kept as they are. */
function nearestCompensated(
  from: number,
  dependents: readonly number[][],
  undo: ReadonlyMap<number, RunNode['action']>,
): number[] {
  const found: number[] = [];
  const seen = new Set<number>();
  const waiting = [...(dependents[from] ?? [])];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    if ((undo.get(next) ?? 'keep') !== 'keep') found.push(next);
    else waiting.push(...(dependents[next] ?? []));
  }
  return found;
}

/**
 * The graph that undoes part of a run: what needed a node is undone before it.
 * Indexes stay those of the run; nodes that are not undone are kept and hold nobody up.
 */
export function compensationGraph(nodes: readonly RunNode[], undo: ReadonlyMap<number, RunNode['action']>): RunNode[] {
  const dependents: number[][] = nodes.map(() => []);
  nodes.forEach((node, index) => {
    for (const need of node.needs) dependents[need]?.push(index);
  });
  return nodes.map((node, index) => {
    const action = undo.get(index) ?? 'keep';
    if (action === 'keep')
      return {
        alias: node.alias,
        needs: [],
        action,
        satisfied: true,
        keptBecause: { kind: 'notSelected', message: 'nothing to undo' },
      };
    return {
      alias: node.alias,
      // A destroy in the run already stands in reverse: what it needed is undone first all the same.
      needs: nearestCompensated(index, dependents, undo),
      action,
      ...(node.timeoutSeconds === undefined ? {} : { timeoutSeconds: node.timeoutSeconds }),
      ...(node.taskQueue === undefined ? {} : { taskQueue: node.taskQueue }),
    };
  });
}
