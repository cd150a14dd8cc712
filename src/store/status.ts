import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Deployment, LastNodeRun } from '../model/index.ts';
import { deploymentSchema, isReadOnly, isTerminalDeployment, readOnlyTypes } from '../model/index.ts';
import type { Db } from './database.ts';
import { selectDeployments, toDeployment } from './deployment-dto.ts';
import { retryText, waitingTexts } from '../definition/index.ts';
import { fromJson } from './json.ts';
import { noneOf } from './lists.ts';
import { withNodesOf } from './nested.ts';
import { selectNodeRuns, toNodeRun } from './node-runs.ts';
import type { ListedRow } from './node-runs.ts';

/** An environment, or one node of its parent's graph. */
export interface StatusScope {
  readonly environmentId: string;
  /** Whose runs they are: its parent, or itself. */
  readonly rootId: string;
}

/** The runs that say how an environment is. */
export interface StatusRuns {
  readonly current: Deployment | null;
  readonly last: Deployment | null;
  readonly queued: Deployment[];
  readonly reading: Deployment[];
  readonly lastPlan: Deployment | null;
  readonly lastDriftCheck: Deployment | null;
}

const mostQueued = 20;

/** In one statement: all that is open, and the newest finished run of each kind. */
export async function readStatusRuns(db: Db, { environmentId, rootId }: StatusScope): Promise<StatusRuns> {
  const mine =
    environmentId === rootId
      ? sql<boolean>`true`
      : sql<boolean>`EXISTS (SELECT 1 FROM node_runs n
          WHERE n.deployment_id = d.id AND n.environment_id IN ${withNodesOf(environmentId)} AND n.action <> 'keep')`;
  const newest = (kind: RawBuilder<boolean>) => sql`(SELECT d.id FROM deployments d
    WHERE d.environment_id = ${rootId} AND d.finished_at IS NOT NULL AND ${kind} AND ${mine} ORDER BY d.number DESC LIMIT 1)`;
  const rows = await selectDeployments(db, {
    where: sql<boolean>`d.environment_id = ${rootId} AND (
      d.id IN (SELECT d.id FROM deployments d
        WHERE d.environment_id = ${rootId} AND d.finished_at IS NULL AND ${mine} ORDER BY d.number LIMIT 100)
      OR d.id IN (${newest(noneOf(sql`d.type`, readOnlyTypes))}
        UNION ALL ${newest(sql`d.type = 'plan'`)} UNION ALL ${newest(sql`d.type = 'drift'`)}))`,
    orderBy: sql`d.number`,
  });
  const all = rows.map(toDeployment);
  const open = all.filter(({ status }) => !isTerminalDeployment(status));
  const over = all.filter(({ status }) => isTerminalDeployment(status));
  const running = open.filter(({ status }) => status !== 'queued');
  return {
    current: running.find(({ type }) => !isReadOnly(type)) ?? null,
    last: over.find(({ type }) => !isReadOnly(type)) ?? null,
    queued: open.filter(({ status }) => status === 'queued').slice(0, mostQueued),
    reading: running.filter(({ type }) => isReadOnly(type)),
    lastPlan: over.find(({ type }) => type === 'plan') ?? null,
    lastDriftCheck: over.find(({ type }) => type === 'drift') ?? null,
  };
}

/**
 * What the newest run that changed each node, or was to change it, has come to; by the ids of the nodes' environments.
 * Of the environment itself and of the nodes of its graph, in two statements however many they are. Of the run in
 * progress it is also told what its nodes wait for.
 */
export async function readLastNodeRuns(
  db: Db,
  environmentId: string,
  current: Deployment | null = null,
): Promise<Map<string, LastNodeRun>> {
  const rows = await selectNodeRuns(
    db,
    sql<boolean>`(n.deployment_id, n.compensation, n.index) IN (
      SELECT l.deployment_id, l.compensation, l.index
      FROM environments e CROSS JOIN LATERAL (
        SELECT r.deployment_id, r.compensation, r.index FROM node_runs r
        WHERE r.environment_id = e.id AND r.action IN ('deploy', 'destroy')
        ORDER BY r.deployment_id DESC, r.compensation DESC LIMIT 1) l
      WHERE e.id IN ${withNodesOf(environmentId)})`,
  );
  const ids = [...new Set(rows.map((row) => row.deployment_id))];
  const runs = await db
    .selectFrom('deployments')
    .select(['id', 'number', 'type'])
    .where(sql<boolean>`id = ANY(${ids}::text[])`)
    .execute();
  const runOf = new Map(runs.map((run) => [run.id, run]));
  const waits = waitsOf(rows, environmentId, current);
  return new Map(
    rows.flatMap((row) => {
      const run = runOf.get(row.deployment_id);
      if (run === undefined) return [];
      const { needs: _, ...node } = toNodeRun(row, new Map());
      const waitsFor =
        (run.id === current?.id && !node.compensation ? waits.get(node.index) : undefined) ?? retryText(node);
      const type = fromJson(deploymentSchema.shape.type, run.type, `deployment ${run.id}`);
      return [
        [
          row.environment_id,
          { ...node, waitsFor, deploymentId: run.id, deploymentNumber: run.number, deploymentType: type },
        ],
      ];
    }),
  );
}

/** Only all nodes of a run together tell which place one waits for; of a node by itself nothing is said. */
function waitsOf(
  rows: readonly ListedRow[],
  environmentId: string,
  current: Deployment | null,
): ReadonlyMap<number, string> {
  if (current === null || current.environmentId !== environmentId) return new Map();
  const own = rows.filter((row) => row.deployment_id === current.id && !row.compensation);
  const aliases = new Map(own.map((row) => [row.index, row.alias]));
  return waitingTexts(
    current,
    own.map((row) => toNodeRun(row, aliases)),
  );
}
