import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import { WindlassError } from '../model/index.ts';
import type { Actor, Page, StateVersion } from '../model/index.ts';
import type { Db, Schema } from '../store/index.ts';
import { audit } from './audit.ts';
import { fenced, readOnly } from './grants.ts';
import { heldMessage, lockOf } from './locks.ts';
import { diffStates, parseState, readState, withSerial } from './state-file.ts';
import type { ParsedState, StateDiff } from './state-file.ts';
import { lockInfoSchema } from './types.ts';
import type { Grant, StateBody, StateContext } from './types.ts';

const columns = [
  'id',
  'serial',
  'lineage',
  'size',
  'resources',
  'deployment_id',
  'restored_from',
  'created_by',
  'created_at',
] as const satisfies readonly (keyof Schema['state_versions'])[];

function toVersion(row: Pick<Selectable<Schema['state_versions']>, (typeof columns)[number]>): StateVersion {
  return {
    id: row.id,
    serial: row.serial,
    lineage: row.lineage,
    size: row.size,
    resources: row.resources,
    deploymentId: row.deployment_id,
    restoredFrom: row.restored_from,
    createdBy: row.created_by,
    createdAt: row.created_at.toISOString(),
  };
}

/** A version of size 0 says that the state was removed. */
export async function latest(
  db: Db,
  environmentId: string,
): Promise<{ serial: number; lineage: string; versionId: number } | null> {
  const row = await db
    .selectFrom('state_versions')
    .select(['id', 'serial', 'lineage', 'size'])
    .where('environment_id', '=', environmentId)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row && row.size > 0 ? { serial: row.serial, lineage: row.lineage, versionId: row.id } : null;
}

export async function readLatest({ db, secrets }: StateContext, grant: Grant): Promise<StateBody | null> {
  const { rows } = await sql<{ fenced: boolean; size: number | null; md5: string | null; body: Uint8Array | null }>`
    SELECT g.fenced_at IS NOT NULL AS fenced, v.size, v.md5, v.body
    FROM state_grants g
    LEFT JOIN LATERAL (
      SELECT size, md5, body FROM state_versions WHERE environment_id = g.environment_id ORDER BY id DESC LIMIT 1
    ) v ON true
    WHERE g.id = ${grant.id} AND g.environment_id = ${grant.environmentId}`.execute(db);
  const [row] = rows;
  if (!row || row.fenced) throw fenced(grant.environmentId);
  if (!row.body || row.md5 === null || row.size === 0) return null;
  return { body: secrets.openBytes(row.body, grant.environmentId), md5: row.md5 };
}

interface NewVersion extends ParsedState {
  readonly environmentId: string;
  readonly size: number;
  /** Ciphertext. */
  readonly body: Uint8Array;
  readonly deploymentId: string | null;
  readonly index: number | null;
  readonly restoredFrom: number | null;
  readonly createdBy: string | null;
  /** Any lineage and serial may follow any other. */
  readonly explicit: boolean;
}

interface Predecessor {
  readonly id: number | null;
  readonly serial: number | null;
  readonly lineage: string | null;
  readonly md5: string | null;
}

/** Adds a version if it may follow the newest, and drops the oldest past the limit. Call with the state's lock held. */
async function insertVersion(db: Db, keepVersions: number, version: NewVersion): Promise<Predecessor> {
  const { rows } = await sql<Predecessor>`
    WITH latest AS (
      SELECT serial, lineage, md5, size FROM state_versions
      WHERE environment_id = ${version.environmentId} ORDER BY id DESC LIMIT 1
    ), added AS (
      INSERT INTO state_versions
        (environment_id, serial, lineage, md5, size, body, resources, deployment_id, index, restored_from, created_by)
      SELECT ${version.environmentId}::text, ${version.serial}::bigint, ${version.lineage}::text, ${version.md5}::text,
        ${version.size}::integer, ${version.body}::bytea, ${version.resources}::integer, ${version.deploymentId}::text,
        ${version.index}::integer, ${version.restoredFrom}::bigint, ${version.createdBy}::text
      WHERE ${version.explicit}::boolean OR NOT EXISTS (
        SELECT 1 FROM latest
        WHERE size > 0 AND (lineage <> ${version.lineage}::text OR serial >= ${version.serial}::bigint)
      )
      RETURNING id
    ), dropped AS (
      DELETE FROM state_versions
      WHERE environment_id = ${version.environmentId} AND EXISTS (SELECT 1 FROM added) AND id <= (
        SELECT id FROM state_versions WHERE environment_id = ${version.environmentId}
        ORDER BY id DESC OFFSET ${keepVersions - 1}::integer LIMIT 1
      )
    )
    SELECT added.id, latest.serial, latest.lineage, latest.md5
    FROM (SELECT 1) one LEFT JOIN added ON true LEFT JOIN latest ON true`.execute(db);
  return rows[0] ?? { id: null, serial: null, lineage: null, md5: null };
}

interface Holding {
  readonly deploymentId: string;
  readonly index: number;
}

/** Proves, and keeps so until the end of the transaction, that the grant is whole and holds the lock. */
async function holdLock(db: Db, grant: Grant, lockId: string | null): Promise<Holding> {
  const { environmentId } = grant;
  const { rows } = await sql<{
    fenced: boolean;
    deployment_id: string;
    index: number;
    lock_id: string | null;
    grant_id: string | null;
  }>`
    WITH g AS (
      SELECT id, deployment_id, index, fenced_at FROM state_grants
      WHERE id = ${grant.id} AND environment_id = ${environmentId} FOR SHARE
    ), l AS (
      SELECT lock_id, grant_id FROM state_locks
      WHERE environment_id = ${environmentId} AND EXISTS (SELECT 1 FROM g) FOR UPDATE
    )
    SELECT g.fenced_at IS NOT NULL AS fenced, g.deployment_id, g.index, l.lock_id, l.grant_id
    FROM g LEFT JOIN l ON true`.execute(db);
  const [row] = rows;
  if (!row || row.fenced) throw fenced(environmentId);
  if (row.lock_id !== null && row.grant_id === grant.id && (lockId === null || row.lock_id === lockId)) {
    return { deploymentId: row.deployment_id, index: row.index };
  }
  const holder = row.lock_id === null ? null : await lockOf(db, environmentId);
  if (holder) throw heldMessage(environmentId, holder);
  throw new WindlassError('locked', `the state of ${environmentId} was not saved: it is not locked by this run`, {
    hint: 'Run the tool with locking (without -lock=false), and through Windlass.',
    class: 'lock',
  });
}

export async function writeVersion(
  { db, secrets, keepVersions }: StateContext,
  grant: Grant,
  lockId: string,
  plain: Uint8Array,
): Promise<void> {
  const { environmentId } = grant;
  if (grant.readOnly) throw readOnly(environmentId);
  const parsed = parseState(plain);
  const body = secrets.sealBytes(plain, environmentId);
  // a second statement, as only that sees what the lock's last holder wrote while this one waited for it
  const before = await db.transaction().execute(async (trx) => {
    const holding = await holdLock(trx, grant, lockId);
    return insertVersion(trx, keepVersions, {
      ...parsed,
      ...holding,
      environmentId,
      size: plain.byteLength,
      body,
      restoredFrom: null,
      createdBy: null,
      explicit: false,
    });
  });
  if (before.id !== null) return;
  if (before.lineage !== parsed.lineage) {
    throw new WindlassError(
      'conflict',
      `the state of ${environmentId} was not saved: its lineage is ${before.lineage}, but ${parsed.lineage} was sent`,
      {
        hint: 'This is the state of another stack. To replace it on purpose, restore a version, or remove the state first.',
        class: 'stalePlan',
      },
    );
  }
  if (before.serial === parsed.serial && before.md5 === parsed.md5) return;
  throw new WindlassError(
    'conflict',
    `the state of ${environmentId} was not saved: serial ${before.serial} is kept already, and serial ${parsed.serial} was sent`,
    {
      hint: 'Another run has changed the state since. Refresh, and plan again.',
      class: 'stalePlan',
    },
  );
}

export async function removeState({ db, keepVersions }: StateContext, grant: Grant): Promise<void> {
  const { environmentId } = grant;
  if (grant.readOnly) throw readOnly(environmentId);
  await db.transaction().execute(async (trx) => {
    const holding = await holdLock(trx, grant, null);
    const before = await latest(trx, environmentId);
    if (!before) return;
    await insertVersion(trx, keepVersions, {
      ...holding,
      environmentId,
      serial: before.serial,
      lineage: before.lineage,
      md5: '',
      resources: 0,
      size: 0,
      body: new Uint8Array(),
      restoredFrom: null,
      createdBy: null,
      explicit: true,
    });
  });
}

export async function listVersions(
  { db }: StateContext,
  request: { environmentId: string; limit: number; cursor?: string | null },
): Promise<Page<StateVersion>> {
  const { environmentId, limit } = request;
  const before = request.cursor ? Number(request.cursor) : null;
  if (before !== null && !Number.isSafeInteger(before)) {
    throw new WindlassError('invalidInput', `${JSON.stringify(request.cursor)} is not a cursor of this list`, {
      hint: 'Start without one.',
    });
  }
  const rows = await db
    .selectFrom('state_versions')
    .select(columns)
    .where('environment_id', '=', environmentId)
    .$if(before !== null, (query) => query.where('id', '<', before ?? 0))
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute();
  const items = rows.slice(0, limit).map(toVersion);
  return { items, next: rows.length > limit ? String(items.at(-1)?.id ?? '') : null };
}

export async function readVersion(
  { db, secrets }: Pick<StateContext, 'db' | 'secrets'>,
  request: { environmentId: string; versionId: number },
): Promise<StateVersion & { readonly body: Uint8Array }> {
  const { environmentId, versionId } = request;
  const row = Number.isSafeInteger(versionId)
    ? await db
        .selectFrom('state_versions')
        .select([...columns, 'body'])
        .where('environment_id', '=', environmentId)
        .where('id', '=', versionId)
        .executeTakeFirst()
    : undefined;
  if (!row) {
    throw new WindlassError('notFound', `environment ${environmentId} has no state version ${versionId}`, {
      hint: 'List the versions; old ones are removed when there are too many.',
    });
  }
  if (row.size === 0) {
    throw new WindlassError(
      'notFound',
      `version ${versionId} of ${environmentId} records that the state was removed; it has no content`,
      {
        hint: 'Take the version before it.',
      },
    );
  }
  return { ...toVersion(row), body: secrets.openBytes(row.body, environmentId) };
}

export async function diffVersions(
  context: StateContext,
  request: { environmentId: string; from: number; to: number },
): Promise<StateDiff> {
  const { environmentId } = request;
  const from = await readVersion(context, { environmentId, versionId: request.from });
  const to = await readVersion(context, { environmentId, versionId: request.to });
  return diffStates(readState(from.body), readState(to.body));
}

export async function restore(
  { db, secrets, keepVersions }: StateContext,
  request: { environmentId: string; versionId: number; actor: Actor },
): Promise<StateVersion> {
  const { environmentId, versionId, actor } = request;
  return db.transaction().execute(async (trx) => {
    const lockId = `restore-${randomBytes(8).toString('hex')}`;
    const info = lockInfoSchema.parse({ ID: lockId, Operation: 'restore', Who: actor.name });
    // held for this transaction only: a tool's lock waits for it, or stands in its way
    const { numInsertedOrUpdatedRows } = await trx
      .insertInto('state_locks')
      .values({ environment_id: environmentId, lock_id: lockId, info: JSON.stringify(info) })
      .onConflict((conflict) => conflict.column('environment_id').doNothing())
      .executeTakeFirst();
    if (!numInsertedOrUpdatedRows) {
      const holder = await lockOf(trx, environmentId);
      if (holder) throw heldMessage(environmentId, holder);
      throw new WindlassError('locked', `the state of ${environmentId} was locked until just now`, {
        hint: 'Try again.',
        class: 'lock',
      });
    }
    const old = await readVersion({ db: trx, secrets }, { environmentId, versionId });
    const now = await latest(trx, environmentId);
    const body = withSerial(old.body, Math.max(old.serial, now?.serial ?? 0) + 1);
    const added = await insertVersion(trx, keepVersions, {
      ...parseState(body),
      environmentId,
      size: body.byteLength,
      body: secrets.sealBytes(body, environmentId),
      deploymentId: null,
      index: null,
      restoredFrom: versionId,
      createdBy: actor.name,
      explicit: true,
    });
    await trx
      .deleteFrom('state_locks')
      .where('environment_id', '=', environmentId)
      .where('lock_id', '=', lockId)
      .execute();
    await audit(trx, {
      actor,
      action: 'state.restore',
      environmentId,
      before: now,
      after: { versionId: added.id, restoredFrom: versionId },
    });
    const row = await trx
      .selectFrom('state_versions')
      .select(columns)
      .where('id', '=', added.id ?? 0)
      .executeTakeFirstOrThrow();
    return toVersion(row);
  });
}
