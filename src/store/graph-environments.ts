/** The environments of a graph: what is known of its nodes, and how a run changes which there are. */
import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import type { NodeTally } from '../definition/index.ts';
import {
  emptyEnvironmentStatuses,
  environmentSettingsSchema,
  nodeActions,
  nodeSnapshotSchema,
  nodeStatuses,
  nodeTypeSchema,
  typesWithoutTool,
} from '../model/index.ts';
import type { Db } from './database.ts';
import { toJson } from './json.ts';
import { noneOf, oneOf } from './lists.ts';
import { isNodeOf, nodesOf } from './nested.ts';

const liveNodeSchema = z.object({
  id: z.string(),
  alias: z.string().nullable(),
  name: z.string(),
  status: z.string(),
  settings: environmentSettingsSchema,
  deployed_snapshot: nodeSnapshotSchema.nullable(),
  /** What last began to change it, whether it came to its end or not. */
  begun_snapshot: nodeSnapshotSchema.nullable(),
});
export type KnownEnvironment = z.infer<typeof liveNodeSchema>;

/** The environment itself, without an alias, when it has no graph, else its sub-environments, with what was last deployed. */
export async function loadKnown(db: Db, environmentId: string, workflow: boolean): Promise<KnownEnvironment[]> {
  const { rows } = await sql`
    SELECT e.id, ${workflow ? sql`e.alias` : sql`NULL::text`} AS alias, e.name, e.status, e.settings, e.deployed_snapshot, b.snapshot AS begun_snapshot
    FROM environments e LEFT JOIN LATERAL (
      SELECT snapshot FROM node_runs nr WHERE nr.environment_id = e.id AND nr.began_change AND nr.snapshot IS NOT NULL AND nr.action <> 'destroy'
      ORDER BY nr.started_at DESC NULLS LAST LIMIT 1
    ) b ON true
    WHERE ${workflow ? sql`e.parent_id = ${environmentId} AND NOT e.detached AND NOT e.nested` : sql`e.id = ${environmentId}`}
    ORDER BY e.created_at, e.alias, e.id`.execute(db);
  return z.array(liveNodeSchema).parse(rows);
}

const groupSchema = z.object({
  id: z.string(),
  alias: z.string(),
  name: z.string(),
  template_id: z.string().nullable(),
  settings: environmentSettingsSchema,
});
/** A node of a graph that is a workflow. */
export type KnownGroup = z.infer<typeof groupSchema>;

/** The nodes of a graph that are workflows, outer ones before those in them. */
export async function loadGroups(db: Db, parentId: string): Promise<KnownGroup[]> {
  const { rows } = await sql`
    SELECT id, alias, name, template_id, settings FROM environments
    WHERE parent_id = ${parentId} AND nested AND NOT detached ORDER BY length(alias), alias`.execute(db);
  return z.array(groupSchema).parse(rows);
}

/** Makes sub-environments that are new, in the order of the file, and brings the others up to the file. Answers the id of each alias. */
export async function upsertSubEnvironments(
  db: Db,
  parent: { readonly id: string; readonly projectId: string },
  nodes: readonly {
    readonly newId: string;
    readonly alias: string;
    readonly name: string;
    readonly templateId: string | null;
    readonly inline: unknown;
    readonly workspace: string | null;
    readonly revision: string | null;
    /** A workflow whose nodes have aliases that begin with this one. */
    readonly nested: boolean;
  }[],
): Promise<Map<string, string>> {
  const { rows } = await sql<{ id: string; alias: string }>`
    INSERT INTO environments (id, project_id, parent_id, alias, name, template_id, inline_template, workspace, revision, nested, created_at)
    SELECT r."newId", ${parent.projectId}, ${parent.id}, r.alias, r.name, r."templateId", NULLIF(r.inline, 'null'), r.workspace, r.revision, r.nested, clock_timestamp()
    FROM jsonb_to_recordset(${toJson(nodes)}::jsonb)
      AS r("newId" text, alias text, name text, "templateId" text, inline jsonb, workspace text, revision text, nested boolean)
    ON CONFLICT (parent_id, alias) WHERE parent_id IS NOT NULL AND NOT detached DO UPDATE SET
      name = EXCLUDED.name, template_id = EXCLUDED.template_id, inline_template = EXCLUDED.inline_template,
      workspace = COALESCE(EXCLUDED.workspace, environments.workspace), revision = EXCLUDED.revision, nested = EXCLUDED.nested, archived = false, updated_at = now()
    RETURNING id, alias`.execute(db);
  return new Map(rows.map((row) => [row.alias, row.id]));
}

/** Remembers which nodes have to be deployed for the graph to be whole. */
export async function expectNodes(db: Db, parentId: string, aliases: readonly string[]): Promise<void> {
  await sql`
    UPDATE environments e SET expected = NOT expected
    WHERE parent_id = ${parentId} AND NOT detached AND NOT nested
      AND expected <> (alias IN (SELECT jsonb_array_elements_text(${toJson(aliases)}::jsonb)))`.execute(db);
}

/** Renames a node in the records, so that its resources, state and history stay with it. */
export async function renameNode(db: Db, parentId: string, from: string, to: string): Promise<void> {
  await sql`UPDATE environments SET alias = ${to}, updated_at = now() WHERE parent_id = ${parentId} AND alias = ${from} AND NOT detached`.execute(
    db,
  );
}

/** Lets nodes live on by themselves, under a name that says where they came from, and without an end: what is let go stays. */
export async function detachNodes(db: Db, parentName: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await sql`
    UPDATE environments SET detached = true, parent_id = NULL, expires_at = NULL, name = ${parentName} || '/' || alias || CASE WHEN EXISTS (
        SELECT 1 FROM environments other WHERE other.project_id = environments.project_id AND other.parent_id IS NULL AND NOT other.archived
          AND other.name = ${parentName} || '/' || environments.alias) THEN ' ' || right(environments.id, 6) ELSE '' END,
      template_id = template_id, updated_at = now()
    WHERE id IN (SELECT jsonb_array_elements_text(${toJson(ids)}::jsonb)) AND NOT detached`.execute(db);
}

/** Puts workflows of a graph away that have no node any more: they are nothing by themselves. */
export async function archiveEmptyGroups(db: Db, parentId: string): Promise<void> {
  await sql`
    UPDATE environments g SET archived = true, updated_at = now()
    WHERE g.parent_id = ${parentId} AND g.nested AND NOT g.archived
      AND NOT EXISTS (SELECT 1 FROM environments n WHERE ${isNodeOf('n', 'g')} AND NOT n.nested)`.execute(db);
}

/** How many of the environments `m` of a graph are how far; those that are only decisions, or workflows, do not count. */
export function tallyWhere(where: RawBuilder<unknown>): RawBuilder<NodeTally> {
  return sql<NodeTally>`
    SELECT count(*)::int AS total,
      count(*) FILTER (WHERE status = 'active')::int AS active,
      count(*) FILTER (WHERE status = 'failed')::int AS failed,
      count(*) FILTER (WHERE status = 'inactive')::int AS destroyed,
      count(*) FILTER (WHERE ${oneOf(sql`status`, emptyEnvironmentStatuses)} AND NOT expected)::int AS unwanted
    FROM environments m WHERE ${where} AND NOT m.archived AND NOT m.nested
      AND ${noneOf(sql`COALESCE(m.inline_template ->> 'type', '')`, typesWithoutTool)}`;
}

/** How many nodes of a graph are how far. */
export async function tallyNodes(db: Db, parentId: string): Promise<NodeTally> {
  const { rows } = await tallyWhere(sql`m.parent_id = ${parentId} AND NOT m.detached`).execute(db);
  return rows[0] ?? { total: 0, active: 0, failed: 0, destroyed: 0, unwanted: 0 };
}

const lastNodeSchema = z.object({
  status: z.enum(nodeStatuses),
  action: z.enum(nodeActions),
  began_change: z.boolean(),
  was: z.boolean(),
});
/** How the last run of a stack has left it; `was`: it had been deployed before. */
export type LastNode = z.infer<typeof lastNodeSchema>;

async function lastNode(db: Db, where: RawBuilder<unknown>): Promise<LastNode | null> {
  const { rows } = await sql`
    SELECT nr.status, nr.action, nr.began_change, e.deployed_snapshot IS NOT NULL AS was
    FROM node_runs nr JOIN environments e ON e.id = nr.environment_id
    WHERE ${where} ORDER BY nr.finished_at DESC NULLS FIRST, nr.compensation DESC LIMIT 1`.execute(db);
  return rows[0] === undefined ? null : lastNodeSchema.parse(rows[0]);
}

/** The node of a run of a stack without a graph; of a run that ended before it had one, the last that changed the stack. */
export async function findLastNode(
  db: Db,
  { environmentId, deploymentId }: { readonly environmentId: string; readonly deploymentId: string },
): Promise<LastNode | null> {
  return (
    (await lastNode(db, sql`nr.deployment_id = ${deploymentId}`)) ??
    lastNode(
      db,
      sql`nr.environment_id = ${environmentId} AND nr.action IN ('deploy', 'destroy') AND (nr.status = 'succeeded' OR nr.began_change)`,
    )
  );
}

export interface GivenRevision {
  readonly revision: string | null;
  /** A workflow around the node has a revision of its own: code beside its file has that one. */
  readonly ofWorkflow: boolean;
}

/** Which revision the file gives each node, when it gives one; by the ids of their environments. */
export async function loadRevisions(db: Db, parentId: string): Promise<Map<string, GivenRevision>> {
  const { rows } = await sql<{ id: string } & GivenRevision>`
    SELECT n.id, n.revision, EXISTS (SELECT 1 FROM environments g
      WHERE g.nested AND g.revision IS NOT NULL AND ${isNodeOf('n', 'g')}) AS "ofWorkflow"
    FROM environments n WHERE n.parent_id = ${parentId}`.execute(db);
  return new Map(rows.map(({ id, ...given }) => [id, given]));
}

/** The newest run of an environment `e` itself that knew what it is. */
const newestKnown = sql`SELECT r.snapshot, r.engine FROM node_runs r
  WHERE r.environment_id = e.id AND NOT r.compensation AND r.snapshot IS NOT NULL ORDER BY r.deployment_id DESC LIMIT 1`;

const graphRowSchema = z.object({
  environment_id: z.string(),
  needs: z.array(z.string()).nullable(),
  template_name: z.string().nullable(),
  type: nodeTypeSchema.nullable(),
  disabled: z.boolean().nullable(),
});

/** What the newest run that knew a node says about its place in the graph. */
export async function loadGraphFacts(
  db: Db,
  environmentId: string,
): Promise<Map<string, z.infer<typeof graphRowSchema>>> {
  const { rows } = await sql`
    SELECT e.id AS environment_id, COALESCE(n.snapshot, e.deployed_snapshot) -> 'needs' AS needs,
      COALESCE(n.snapshot, e.deployed_snapshot) ->> 'templateName' AS template_name,
      COALESCE(n.snapshot, e.deployed_snapshot) ->> 'type' AS type,
      n.engine -> 'keptBecause' ->> 'kind' = 'disabled' AS disabled
    FROM environments e LEFT JOIN LATERAL (${newestKnown}) n ON true
    WHERE e.id IN ${nodesOf(environmentId)}`.execute(db);
  return new Map(rows.map((row) => graphRowSchema.parse(row)).map((row) => [row.environment_id, row]));
}

const { variables, inputs } = nodeSnapshotSchema.shape;
const fileSchema = z.object({ variables, inputs });
/** What the workflow file says of a node. */
export type FromFile = z.infer<typeof fileSchema>;

/** What the workflow file says of nodes, as their last runs have read it; by the ids of their environments. */
export async function loadFromFile(db: Db, ids: readonly string[]): Promise<Map<string, FromFile>> {
  const { rows } = await sql<{ id: string; variables: unknown; inputs: unknown }>`
    SELECT e.id, n.snapshot -> 'variables' AS variables, n.snapshot -> 'inputs' AS inputs
    FROM environments e CROSS JOIN LATERAL (${newestKnown}) n WHERE e.id = ANY(${[...ids]}::text[])`.execute(db);
  return new Map(rows.map((row) => [row.id, fileSchema.parse(row)]));
}
