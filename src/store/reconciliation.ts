/** What looks as if something had been lost on its way, or had ended without a word; oldest first. */
import { sql } from 'kysely';
import { z } from 'zod';
import {
  activeDeploymentStatuses,
  environmentStatusesInProgress,
  readOnlyTypes,
  terminalNodeStatuses,
} from '../model/index.ts';
import type { Db } from './database.ts';
import { noneOf, oneOf } from './lists.ts';

interface ScanLimits {
  /** What is younger may just be on its way. */
  readonly graceSeconds: number;
  readonly limit: number;
}

const ids = (rows: readonly { readonly id: string }[]): string[] => rows.map(({ id }) => id);
const ago = (seconds: number) => sql`now() - make_interval(secs => ${seconds})`;

/** Runs that have begun and are not over. */
export async function listRunsInProgress(
  db: Db,
  { graceSeconds, limit }: ScanLimits,
): Promise<{ readonly id: string; readonly status: string }[]> {
  const { rows } = await sql<{ id: string; status: string }>`
    SELECT id, status FROM deployments WHERE ${oneOf(sql`status`, activeDeploymentStatuses)} AND started_at < ${ago(graceSeconds)}
    ORDER BY started_at LIMIT ${limit}`.execute(db);
  return rows;
}

/** Runs that have ended within a day and have nodes that are still open. */
export async function listEndedRunsWithOpenNodes(db: Db, { graceSeconds, limit }: ScanLimits): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT DISTINCT d.id FROM deployments d JOIN node_runs n ON n.deployment_id = d.id
    WHERE d.finished_at < ${ago(graceSeconds)} AND d.finished_at > now() - interval '1 day'
      AND ${noneOf(sql`n.status`, terminalNodeStatuses)}
    LIMIT ${limit}`.execute(db);
  return ids(rows);
}

/** Environments that are shown in progress though nothing is. */
export async function listIdleInProgress(db: Db, { graceSeconds, limit }: ScanLimits): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT e.id FROM environments e WHERE ${oneOf(sql`e.status`, environmentStatusesInProgress)}
      AND e.updated_at < ${ago(graceSeconds)}
      AND NOT EXISTS (SELECT 1 FROM deployments d WHERE d.environment_id = COALESCE(e.parent_id, e.id) AND d.finished_at IS NULL
        AND d.status <> 'queued' AND ${noneOf(sql`d.type`, readOnlyTypes)})
    LIMIT ${limit}`.execute(db);
  return ids(rows);
}

/** Runs that wait for their turn. */
export async function listQueued(db: Db, { graceSeconds, limit }: ScanLimits): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT id FROM deployments WHERE status = 'queued' AND finished_at IS NULL AND queued_at < ${ago(graceSeconds)}
    ORDER BY queued_at LIMIT ${limit}`.execute(db);
  return ids(rows);
}

/** Runs that were asked for before a moment and wait for their turn. */
export async function listQueuedBefore(db: Db, moment: string): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    SELECT id FROM deployments WHERE status = 'queued' AND finished_at IS NULL AND queued_at < ${moment}`.execute(db);
  return ids(rows);
}

const decisionSchema = z.object({
  id: z.string(),
  compensation: z.boolean(),
  by: z.string(),
  comment: z.string().nullable(),
});

/** Approvals that are decided while their node still waits. */
export async function listUndeliveredDecisions(
  db: Db,
  { graceSeconds, limit }: ScanLimits,
): Promise<z.infer<typeof decisionSchema>[]> {
  const { rows } = await sql`
    SELECT a.id, a.compensation, a.decisions -> -1 ->> 'by' AS by, a.decisions -> -1 ->> 'comment' AS comment
    FROM approvals a JOIN node_runs n ON n.deployment_id = a.deployment_id AND n.index = a.index AND n.compensation = a.compensation
      JOIN deployments d ON d.id = a.deployment_id
    WHERE a.status IN ('approved', 'rejected') AND n.status = 'waitingForApproval' AND d.finished_at IS NULL
      AND a.decided_at < ${ago(graceSeconds)}
      AND NOT EXISTS (SELECT 1 FROM approvals newer WHERE newer.deployment_id = a.deployment_id AND newer.index = a.index
        AND newer.compensation = a.compensation AND newer.id > a.id)
    ORDER BY a.decided_at LIMIT ${limit}`.execute(db);
  return z.array(decisionSchema).parse(rows);
}

/** Environments whose end is due within two minutes, or has been. */
export async function listDueEnvironments(db: Db, limit: number): Promise<DueEnvironment[]> {
  const { rows } = await sql<DueEnvironment>`
    SELECT COALESCE(parent_id, id) AS id, bool_or(parent_id IS NOT NULL) AS nodes FROM environments
    WHERE expires_at < now() + interval '2 minutes' AND NOT archived AND status IN ('active', 'partlyDeployed', 'failed')
    GROUP BY 1 ORDER BY min(expires_at) LIMIT ${limit}`.execute(db);
  return rows;
}

export interface DueEnvironment {
  readonly id: string;
  /** Nodes of it are due. */
  readonly nodes: boolean;
}

/** A run that may be told of as stranded, and whether it was. */
export async function findStrandedWarning(
  db: Db,
  deploymentId: string,
): Promise<{ readonly environmentId: string; readonly number: number; readonly told: boolean } | null> {
  const { rows } = await sql<{ environmentId: string; number: number; told: boolean }>`
    SELECT d.environment_id AS "environmentId", d.number, EXISTS (
      SELECT 1 FROM events e WHERE e.deployment_id = d.id AND e.type = 'environment.warning' AND e.data ->> 'kind' = 'stranded'
    ) AS told FROM deployments d WHERE d.id = ${deploymentId}`.execute(db);
  return rows[0] ?? null;
}
