/** What a running node has to look up besides its own record. */
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { ApprovalEnvelope, ScopeSettings } from '../model/index.ts';
import { approvalEnvelopeSchema, organizationSettingsSchema } from '../model/index.ts';
import type { NodeKey } from './run-records.ts';
import type { Schema } from './schema.ts';

type Db = Kysely<Schema>;

/** The bounds that an approval of this run has set for the nodes after it; null when there are none. */
export async function findEnvelope(db: Db, deploymentId: string): Promise<ApprovalEnvelope | null> {
  const { rows } = await sql<{ envelope: unknown }>`
    SELECT d -> 'envelope' AS envelope FROM approvals a, jsonb_array_elements(a.decisions) AS d
    WHERE a.deployment_id = ${deploymentId} AND a.status = 'approved' AND d ->> 'decision' = 'approve' AND d ? 'envelope'
    ORDER BY a.decided_at DESC LIMIT 1`.execute(db);
  return rows[0] === undefined || rows[0].envelope === null ? null : approvalEnvelopeSchema.parse(rows[0].envelope);
}

/** The plan that people have approved for this node, if it is still the one to apply. */
export async function approvedPlan(db: Db, key: NodeKey): Promise<string | null> {
  const row = await db
    .selectFrom('approvals')
    .select(['status', 'plan_artifact'])
    .where('deployment_id', '=', key.deploymentId)
    .where('index', '=', key.index)
    .where('compensation', '=', key.compensation)
    .orderBy('created_at', 'desc')
    .executeTakeFirst();
  return row?.status === 'approved' ? row.plan_artifact : null;
}

/** Limits for a time to live: the project's where it has them, else the organization's. */
export async function scopeTtlSettings(db: Db, projectId: string): Promise<Pick<ScopeSettings, 'defaultTtl' | 'maximumTtlHours'>> {
  const row = await db
    .selectFrom('projects')
    .innerJoin('organizations', 'organizations.id', 'projects.organization_id')
    .select(['projects.settings as project', 'organizations.settings as organization'])
    .where('projects.id', '=', projectId)
    .executeTakeFirst();
  const project = organizationSettingsSchema.parse(row?.project ?? {});
  const organization = organizationSettingsSchema.parse(row?.organization ?? {});
  return {
    defaultTtl: project.defaultTtl ?? organization.defaultTtl,
    maximumTtlHours: project.maximumTtlHours ?? organization.maximumTtlHours,
  };
}
