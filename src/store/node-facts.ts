import { sql } from 'kysely';
import { nodeBeginSchema } from '../model/index.ts';
import type { NodeBegin, NodeKey } from '../model/index.ts';
import type { Db } from './database.ts';

/** All that the run of a node needs to know, of `x`: a row of node_runs with the reason why it is `held`. */
export const nodeFacts = sql`
    SELECT x.held, x.alias, x.name, x.environment_id, x.action, x.engine->>'removal' AS removal, x.status, x.try, x.snapshot, x.journal, x.plan, x.error, x.changed_outputs,
      x.ran, x.began_change, d.request, d.type AS deployment_type, d.trigger, d.requested_by, d.may_waive_approval, d.traceparent, d.environment_id AS entity_id, COALESCE(parent.name, env.name) AS entity_name,
      env.project_id, p.organization_id, env.parent_id, parent.template_id AS parent_template_id, env.status AS environment_status,
      env.settings AS environment_settings, parent.settings AS entity_settings, 
      COALESCE((SELECT jsonb_agg(jsonb_build_object('id', g.id, 'alias', g.alias, 'template_id', g.template_id, 'settings', g.settings) ORDER BY length(g.alias))
        FROM jsonb_array_elements_text(x.snapshot -> 'within') AS w(alias)
          JOIN environments g ON g.parent_id = env.parent_id AND g.alias = w.alias AND g.nested AND NOT g.detached), '[]') AS groups,
      env.input_hash, env.state_unverified, env.deployed_snapshot, env.lock,
      CASE WHEN x.status = 'waitingForApproval' THEN (SELECT jsonb_build_object('id', a.id, 'status', a.status,
          'by', a.decisions -> -1 ->> 'by', 'comment', a.decisions -> -1 ->> 'comment',
          'expiresInMs', GREATEST(1000, floor(extract(epoch FROM a.expires_at - now()) * 1000)))
        FROM approvals a WHERE a.deployment_id = x.deployment_id AND a.index = x.index AND a.compensation = x.compensation
        ORDER BY a.created_at DESC, a.id DESC LIMIT 1) END AS asked_approval,
      (SELECT a.id FROM approvals a WHERE a.deployment_id = x.deployment_id AND a.index = x.index AND a.compensation = x.compensation
        AND a.status = 'approved' ORDER BY a.created_at DESC LIMIT 1) AS approval_decided,
      (SELECT string_agg(w.by, ', ') FROM approvals a, jsonb_to_recordset(a.decisions) AS w(by text, decision text)
        WHERE a.deployment_id = x.deployment_id AND a.index = x.index AND a.compensation = x.compensation AND a.status = 'approved'
          AND w.decision = 'approve') AS reviewers
    FROM x JOIN deployments d ON d.id = x.deployment_id
      JOIN environments env ON env.id = x.environment_id
      JOIN projects p ON p.id = env.project_id
      LEFT JOIN environments parent ON parent.id = env.parent_id`;

/** The facts of a node as they are, without beginning it. Null when there is no such node. */
export async function readNode(db: Db, key: NodeKey): Promise<NodeBegin | null> {
  const { rows } = await sql`
    WITH x AS (
      SELECT NULL::text AS held, g.* FROM node_runs g
      WHERE g.deployment_id = ${key.deploymentId} AND g.index = ${key.index} AND g.compensation = ${key.compensation}
    ) ${nodeFacts}`.execute(db);
  return rows[0] === undefined ? null : nodeBeginSchema.parse(rows[0]);
}
