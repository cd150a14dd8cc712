import type { Deployment, EnvironmentStatusReport } from '../model/index.ts';
import { listApprovals, readLastNodeRuns, readStatusRuns } from '../store/index.ts';
import { authorize, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';
import { graphOf } from './environments.ts';
import { findPlace } from './places.ts';
import { withUrl } from './request-deployment.ts';

/** How an environment is: what `windlass status` and the console show, in a handful of statements for any graph. */
export function statusOperations(context: Context) {
  const { db } = context;
  const shown = (run: Deployment | null): Deployment | null => (run === null ? null : withUrl(context, run));
  return {
    async readStatus({ actor, ref }: Asked & { ref: string }): Promise<EnvironmentStatusReport> {
      const { environment, root, name } = await findPlace(db.sql, ref, scopeOf(actor));
      authorize(actor, 'view', environment.projectId);
      const { nodes } = await graphOf(db.sql, environment);
      const runs = await readStatusRuns(db.sql, { environmentId: environment.id, rootId: root.id });
      const last = await readLastNodeRuns(db.sql, environment.id, runs.current);
      const approvals = await listApprovals(db.sql, [environment.projectId], {
        environmentId: environment.id,
        status: 'pending',
        limit: mostApprovals,
      });
      return {
        environment,
        path: name,
        current: shown(runs.current),
        last: shown(runs.last),
        queued: runs.queued.map((run) => withUrl(context, run)),
        reading: runs.reading.map((run) => withUrl(context, run)),
        lastPlan: shown(runs.lastPlan),
        lastDriftCheck: shown(runs.lastDriftCheck),
        approvals: approvals.items,
        nodes: nodes.map((node) => ({ ...node, last: last.get(node.environmentId ?? '') ?? null })),
      };
    },
  };
}

const mostApprovals = 200;
