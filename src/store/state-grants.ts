/** How the grants of the state backend end: within the statements that end the calls they were made for. */
import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { systemActor, terminalNodeStatuses } from '../model/index.ts';
import type { NodeKey } from '../model/index.ts';
import type { Db } from './database.ts';
import { eventFor } from './events.ts';
import { oneOf } from './lists.ts';

/** Frees a lock; both it and the statement's other parts see each other only through what they return. */
function auditFreedLock(because: string): RawBuilder<unknown> {
  return sql`freed_audit AS (
    INSERT INTO audit_log (actor, action, target_type, target_id, project_id, before, after)
    SELECT ${JSON.stringify(systemActor)}::jsonb, 'state.unlock', 'environment', f.environment_id, env.project_id,
      f.info || jsonb_build_object('lockId', f.lock_id, 'deploymentId', f.deployment_id), jsonb_build_object('reason', ${because}::text)
    FROM freed f JOIN environments env ON env.id = f.environment_id
  ), freed_of AS (
    SELECT f.environment_id, f.deployment_id, env.alias, f.lock_id FROM freed f JOIN environments env ON env.id = f.environment_id
  ), ${eventFor(
    'environment.warning',
    { from: 'freed_of', told: 'freed_told' },
    {
      kind: sql`'stateUnlocked'::text`,
      lockId: sql`r.lock_id`,
      message: sql`'the lock of the state was freed: ' || ${because}::text`,
    },
  )}`;
}

/**
 * Parts of a statement that fence grants, free the locks they hold, and write that down. `which` is what follows
 * `UPDATE state_grants g SET …`: the rest of a FROM and WHERE. The statement must read `freed_told`, which announces.
 */
export function endGrants(which: RawBuilder<unknown>, because: string): RawBuilder<unknown> {
  return sql`fenced AS (
    UPDATE state_grants g SET fenced_at = now() ${which} AND g.fenced_at IS NULL RETURNING g.id, g.environment_id
  ), freed AS (
    DELETE FROM state_locks l USING fenced f WHERE l.environment_id = f.environment_id AND l.grant_id = f.id
    RETURNING l.environment_id, l.lock_id, l.deployment_id, l.info
  ), ${auditFreedLock(because)}`;
}

/**
 * Frees a lock whose grant has ended: one that was taken in the very moment in which the grant was fenced. Answers
 * whether there was one. Without an environment: of all.
 */
export async function freeEndedLocks(db: Db, environmentId: string | null = null): Promise<number> {
  const { rows } = await sql<{ freed: number }>`
    WITH freed AS (
      DELETE FROM state_locks l USING state_grants g
      WHERE g.id = l.grant_id AND g.fenced_at IS NOT NULL AND (${environmentId}::text IS NULL OR l.environment_id = ${environmentId}::text)
      RETURNING l.environment_id, l.lock_id, l.deployment_id, l.info
    ), ${auditFreedLock('the call of the tool that took it has ended')}
    SELECT (SELECT count(*)::int FROM freed) AS freed, (SELECT count(*) FROM freed_told)`.execute(db);
  return rows[0]?.freed ?? 0;
}

/** Longer than a tool that is interrupted may take to save its state; see the ladder of signals. */
const leftOpenSeconds = 180;

/**
 * Ends grants that nobody has ended: their node is over or gone, and so is whoever ran it. That of a call which nobody
 * can prove over stays until a person has said what became of it (`state verify`, `state unlock`): its tool may be at
 * work on another machine, and without it what it makes would be in no state.
 */
export async function endLeftGrants(db: Db, limit: number): Promise<number> {
  const { rows } = await sql<{ ended: number }>`
    WITH ${endGrants(
      sql`WHERE g.id IN (
        SELECT o.id FROM state_grants o LEFT JOIN node_runs n
          ON n.deployment_id = o.deployment_id AND n.index = o.index AND n.compensation = o.compensation
        WHERE o.fenced_at IS NULL AND o.created_at < now() - make_interval(secs => ${leftOpenSeconds})
          AND (n.deployment_id IS NULL OR (${oneOf(sql`n.status`, terminalNodeStatuses)}
            AND COALESCE(n.finished_at, o.created_at) < now() - make_interval(secs => ${leftOpenSeconds})))
          AND NOT EXISTS (SELECT 1 FROM environments e WHERE e.id = o.environment_id AND e.state_unverified ->> 'deploymentId' = o.deployment_id)
        ORDER BY o.created_at LIMIT ${limit})`,
      'the run of the tool that took it is over',
    )}
    SELECT (SELECT count(*)::int FROM fenced) AS ended, (SELECT count(*) FROM freed_told)`.execute(db);
  return (rows[0]?.ended ?? 0) + (await freeEndedLocks(db));
}

export interface StoredGrant {
  readonly id: string;
  readonly environmentId: string;
  readonly readOnly: boolean;
  /** In hexadecimal. */
  readonly tokenHash: string;
}

/** Writes down a grant for the call of a node. */
export async function insertGrant(db: Db, grant: StoredGrant & NodeKey): Promise<void> {
  await db
    .insertInto('state_grants')
    .values({
      id: grant.id,
      environment_id: grant.environmentId,
      deployment_id: grant.deploymentId,
      index: grant.index,
      compensation: grant.compensation,
      read_only: grant.readOnly,
      token_hash: grant.tokenHash,
    })
    .execute();
}

/** By its id; null when there is none. Whether it is fenced is looked at in the statement that acts. */
export async function findGrant(db: Db, id: string): Promise<StoredGrant | null> {
  const row = await db
    .selectFrom('state_grants')
    .select(['id', 'environment_id as environmentId', 'read_only as readOnly', 'token_hash as tokenHash'])
    .where('id', '=', id)
    .executeTakeFirst();
  return row ?? null;
}

/** The update waits for statements that hold the grant's row, and later ones see it fenced: there is nothing between. */
export async function fenceGrant(db: Db, grantId: string): Promise<void> {
  await db
    .updateTable('state_grants')
    .set({ fenced_at: sql`now()` })
    .where('id', '=', grantId)
    .where('fenced_at', 'is', null)
    .execute();
}

/** Fences all grants of a node; answers their ids. */
export async function fenceGrantsOf(db: Db, node: NodeKey): Promise<string[]> {
  const rows = await db
    .updateTable('state_grants')
    .set({ fenced_at: sql`coalesce(fenced_at, now())` })
    .where('deployment_id', '=', node.deploymentId)
    .where('index', '=', node.index)
    .where('compensation', '=', node.compensation)
    .returning('id')
    .execute();
  return rows.map(({ id }) => id);
}

/** Drops grants from before a date that hold no lock; answers how many. */
export async function pruneGrants(db: Db, before: Date): Promise<number> {
  const result = await db
    .deleteFrom('state_grants')
    .where('created_at', '<', before)
    .where((eb) =>
      eb.not(eb.exists(eb.selectFrom('state_locks').select('lock_id').whereRef('grant_id', '=', 'state_grants.id'))),
    )
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}
