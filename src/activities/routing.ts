/** Where each node of a run is done: by our workers, where records are kept, or by a runner pool. */
import { nearest, quote } from '../definition/index.ts';
import type { Problem, RunNode } from '../model/index.ts';
import { needsTool, poolQueue, taskQueues } from '../model/index.ts';
import { listPoolNames, poolSettings } from '../store/index.ts';
import type { NewNode } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';
import { refuse } from './resolution.ts';
import type { ResolvingRun } from './resolution.ts';

/** The nodes with their task queues. Refuses a run whose pools are not there. */
export async function routeNodes(deps: ResolveDeps, run: ResolvingRun, nodes: readonly NewNode[]): Promise<NewNode[]> {
  const pools = await listPoolNames(deps.db.sql);
  const settings = pools.length === 0 ? new Map<string, string>() : await poolSettings(deps.db.sql, run.environment_id);
  const poolOf = ({ environmentId, snapshot }: NewNode): string | undefined =>
    settings.get(environmentId) ?? groupPool(run, snapshot) ?? run.settings.pool ?? snapshot?.config.pool;
  const problems = nodes.flatMap((node): Problem[] => {
    const pool = poolOf(node);
    if (pool === undefined || node.run.action === 'keep' || pools.includes(pool)) return [];
    const [near] = nearest(pool, pools, 1);
    const hint = near === undefined ? '' : `; did you mean ${quote(near)}?`;
    return [
      { message: `${quote(node.run.alias)} is to run on the runner pool ${quote(pool)}, which does not exist${hint}` },
    ];
  });
  refuse(problems, 'nothing was run', 'make the pool: windlass pool create NAME, or name another one');
  return nodes.map((node) => ({ ...node, run: withQueue(node, poolOf(node)) }));
}

/** That of the innermost workflow around a node which has one. */
function groupPool({ groups }: ResolvingRun, snapshot: NewNode['snapshot']): string | undefined {
  return groups.findLast(({ alias, settings }) => settings.pool !== undefined && snapshot?.within.includes(alias))
    ?.settings.pool;
}

function withQueue({ run: known, snapshot }: NewNode, pool: string | undefined): RunNode {
  const { taskQueue: _before, ...run } = known;
  if (run.action === 'keep') return run;
  // What needs no tool is done where records are kept.
  if (snapshot !== null && !needsTool(snapshot.type)) return { ...run, taskQueue: taskQueues.orchestration };
  return pool === undefined ? run : { ...run, taskQueue: poolQueue(pool) };
}
