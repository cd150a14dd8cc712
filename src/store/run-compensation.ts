/** What a rollback of a run takes back. */
import { sql } from 'kysely';
import { z } from 'zod';
import { compensatingAction } from '../definition/index.ts';
import { nodeActions } from '../model/index.ts';
import type { CompensationNode } from '../model/index.ts';
import type { Db } from './database.ts';
import { toJson } from './json.ts';

const undoableSchema = z.object({
  index: z.number(),
  environmentId: z.string(),
  alias: z.string(),
  name: z.string(),
  action: z.enum(nodeActions),
  beganChange: z.boolean(),
  deployedBefore: z.boolean(),
  commit: z.string().nullable(),
});

/** A node of a run, and what takes it back. */
export type UndoneNode = Omit<z.infer<typeof undoableSchema>, 'action'> & {
  readonly undo: ReturnType<typeof compensatingAction>;
};

/** The nodes of a run in their order, each with what takes it back now: `keep` when nothing has to. */
export async function listUndone(db: Db, deploymentId: string): Promise<UndoneNode[]> {
  const { rows } = await sql`
    SELECT index, environment_id AS "environmentId", alias, name, action, began_change AS "beganChange",
      previous_snapshot IS NOT NULL AS "deployedBefore", snapshot->>'commit' AS commit
    FROM node_runs WHERE deployment_id = ${deploymentId} AND NOT compensation ORDER BY index`.execute(db);
  return z
    .array(undoableSchema)
    .parse(rows)
    .map((row) => ({ ...row, undo: compensatingAction(row) }));
}

/** Makes the records of the nodes that take a run back, once. */
export async function insertCompensation(
  db: Db,
  deploymentId: string,
  nodes: readonly CompensationNode[],
): Promise<void> {
  await sql`
    INSERT INTO node_runs (deployment_id, index, compensation, alias, name, environment_id, needs, action, engine, snapshot)
    SELECT nr.deployment_id, nr.index, true, nr.alias, nr.name, nr.environment_id, '[]', u.action, nr.engine,
      CASE WHEN u.action = 'deploy' THEN nr.previous_snapshot ELSE nr.snapshot END
    FROM node_runs nr JOIN jsonb_to_recordset(${toJson(nodes)}::jsonb) AS u(index integer, action text) ON u.index = nr.index
    WHERE nr.deployment_id = ${deploymentId} AND NOT nr.compensation
    ON CONFLICT DO NOTHING`.execute(db);
}
