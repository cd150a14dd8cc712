import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { workflowStatus } from '../definition/index.ts';
import type { NodeTally } from '../definition/index.ts';
import type { Environment } from '../model/index.ts';
import { environmentSchema, inlineTemplateSchema, readOnlyTypes } from '../model/index.ts';
import type { Db } from './database.ts';
import { fromJson, iso, isoOrNull } from './json.ts';
import { worstDrift } from './drift-results.ts';
import { tallyWhere } from './graph-environments.ts';
import { oneOf } from './lists.ts';
import { isNodeOf } from './nested.ts';
import { expiryNoticeSchema } from './node-expiry.ts';
import type { EnvironmentRow } from './schema.ts';

/** An environment with all that its DTO shows beside it. */
export interface FullEnvironmentRow extends EnvironmentRow {
  readonly template_type: string | null;
  readonly template_name: string | null;
  readonly waiting_for_approval: number;
  readonly queued: number;
  readonly current_deployment: string | null;
  readonly last_deployment: string | null;
  /** Of a workflow in a graph: what its nodes are. */
  readonly tally: NodeTally | null;
}

/** Is the environment `e`, or one of its nodes if it is a workflow in a graph. An array, so that indexes are used. */
const ofEnvironment = sql`= ANY (ARRAY(SELECT e.id UNION ALL SELECT m.id FROM environments m WHERE e.nested AND ${isNodeOf('m', 'e')}))`;

/**
 * Reads environments as `e`, with their parents as `p`, in one statement. A sub-environment has no runs of its own: its
 * deployments are its parent's that have it as a node, or, of a workflow in a graph, one of its nodes.
 */
export async function selectEnvironments(
  db: Db,
  rest: { readonly where: RawBuilder<boolean>; readonly orderBy?: RawBuilder<unknown>; readonly limit?: number },
): Promise<FullEnvironmentRow[]> {
  const { rows } = await sql<FullEnvironmentRow>`
    SELECT e.*,
      CASE WHEN e.nested THEN (SELECT to_jsonb(tally) FROM (${tallyWhere(isNodeOf('m', 'e'))}) tally) END AS tally,
      CASE WHEN e.nested THEN ${worstDrift(isNodeOf('m', 'e'))} ELSE e.drift_status END AS drift_status,
      t.type AS template_type, t.name AS template_name,
      (SELECT count(*) FROM approvals a WHERE a.status = 'pending' AND (a.environment_id ${ofEnvironment}
        OR a.deployment_id IN (SELECT d.id FROM deployments d WHERE d.environment_id = e.id AND d.finished_at IS NULL))) AS waiting_for_approval,
      (SELECT count(*) FROM deployments d WHERE d.environment_id = e.id AND d.finished_at IS NULL AND d.status = 'queued') AS queued,
      (SELECT d.id FROM deployments d
        WHERE d.environment_id = COALESCE(e.parent_id, e.id) AND d.finished_at IS NULL AND d.status <> 'queued'
          AND (e.parent_id IS NULL OR EXISTS (
            SELECT 1 FROM node_runs n WHERE n.deployment_id = d.id AND n.environment_id ${ofEnvironment} AND n.action <> 'keep'))
        ORDER BY ${oneOf(sql`d.type`, readOnlyTypes)}, d.number DESC LIMIT 1) AS current_deployment,
      CASE WHEN e.parent_id IS NULL
        THEN (SELECT d.id FROM deployments d WHERE d.environment_id = e.id ORDER BY d.number DESC LIMIT 1)
        ELSE (SELECT n.deployment_id FROM node_runs n WHERE n.environment_id ${ofEnvironment} ORDER BY n.deployment_id DESC LIMIT 1)
      END AS last_deployment
    FROM environments e
      LEFT JOIN templates t ON t.id = e.template_id
      LEFT JOIN environments p ON p.id = e.parent_id
    WHERE ${rest.where}
    ${rest.orderBy ? sql`ORDER BY ${rest.orderBy}` : sql``}
    ${rest.limit === undefined ? sql`` : sql`LIMIT ${rest.limit}`}`.execute(db);
  return rows;
}

const { shape } = environmentSchema;
const flags = shape.flags.shape;

/** What was told of an end that somebody has moved since does not count. */
function heldExpiry({ id, expires_at, expiry_notice }: FullEnvironmentRow): string | null {
  if (expires_at === null || expiry_notice === null) return null;
  const notice = fromJson(expiryNoticeSchema, expiry_notice, `environment ${id}`);
  return notice.expiresAtMs === expires_at.getTime() ? notice.held : null;
}

export function toEnvironment(row: FullEnvironmentRow): Environment {
  const place = `environment ${row.id}`;
  const inline = row.inline_template === null ? null : fromJson(inlineTemplateSchema, row.inline_template, place);
  return {
    id: row.id,
    projectId: row.project_id,
    parentId: row.parent_id,
    alias: row.alias,
    name: row.name,
    type: fromJson(shape.type, row.template_type ?? inline?.type, place),
    templateId: row.template_id,
    templateName: row.template_name,
    workspace: row.workspace,
    revision: row.revision,
    status: row.tally === null ? fromJson(shape.status, row.status, place) : workflowStatus(row.tally, false),
    flags: {
      waitingForApproval: row.waiting_for_approval,
      queued: row.queued,
      drift: fromJson(flags.drift, row.drift_status, place),
      driftCheckedAt: isoOrNull(row.drift_checked_at),
      lock: fromJson(flags.lock, row.lock, place),
      stateUnverified: fromJson(flags.stateUnverified, row.state_unverified, place),
      detached: row.detached,
      archived: row.archived,
    },
    settings: fromJson(shape.settings, row.settings, place),
    expiresAt: isoOrNull(row.expires_at),
    expiryHeld: heldExpiry(row),
    currentDeploymentId: row.current_deployment,
    lastDeploymentId: row.last_deployment,
    createdAt: iso(row.created_at),
    updatedAt: iso(row.updated_at),
  };
}
