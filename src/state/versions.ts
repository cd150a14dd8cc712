import { randomBytes } from 'node:crypto';
import { WindlassError } from '../model/index.ts';
import type { Actor, Page, StateVersion } from '../model/index.ts';
import {
  deleteStateLock,
  findStateVersion,
  insertOwnLock,
  insertStateVersion,
  inTransaction,
  latestStateVersion,
  listStateVersions,
  lockGrantAndLock,
  readLatestState,
} from '../store/index.ts';
import type { Db } from '../store/index.ts';
import { audit } from './audit.ts';
import { fenced, readOnly } from './grants.ts';
import { heldMessage, lockOf } from './locks.ts';
import { diffStates, parseState, readState, withSerial } from './state-file.ts';
import type { StateDiff } from './state-file.ts';
import { lockInfoSchema } from './types.ts';
import type { Grant, StateBody, StateContext } from './types.ts';

export async function readLatest({ db, secrets }: StateContext, grant: Grant): Promise<StateBody | null> {
  const row = await readLatestState(db, grant);
  if (!row || row.fenced) throw fenced(grant.environmentId);
  if (!row.body || row.md5 === null || row.size === 0) return null;
  return { body: secrets.openBytes(row.body, grant.environmentId), md5: row.md5 };
}

interface Holding {
  readonly deploymentId: string;
  readonly index: number;
}

/** Proves, and keeps so until the end of the transaction, that the grant is whole and holds the lock. */
async function holdLock(db: Db, grant: Grant, lockId: string | null): Promise<Holding> {
  const { environmentId } = grant;
  const row = await lockGrantAndLock(db, grant);
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
  const before = await inTransaction(db, async (trx) => {
    const holding = await holdLock(trx, grant, lockId);
    return insertStateVersion(trx, keepVersions, {
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
  await inTransaction(db, async (trx) => {
    const holding = await holdLock(trx, grant, null);
    const before = await latestStateVersion(trx, environmentId);
    if (!before) return;
    await insertStateVersion(trx, keepVersions, {
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
  const rows = await listStateVersions(db, environmentId, { before, limit: limit + 1 });
  const items = rows.slice(0, limit);
  return { items, next: rows.length > limit ? String(items.at(-1)?.id ?? '') : null };
}

export async function readVersion(
  { db, secrets }: Pick<StateContext, 'db' | 'secrets'>,
  request: { environmentId: string; versionId: number },
): Promise<StateVersion & { readonly body: Uint8Array }> {
  const { environmentId, versionId } = request;
  const row = await findStateVersion(db, environmentId, versionId);
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
  return { ...row, body: secrets.openBytes(row.body, environmentId) };
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
  return inTransaction(db, async (trx) => {
    const lockId = `restore-${randomBytes(8).toString('hex')}`;
    const info = lockInfoSchema.parse({ ID: lockId, Operation: 'restore', Who: actor.name });
    // held for this transaction only: a tool's lock waits for it, or stands in its way
    if (!(await insertOwnLock(trx, environmentId, { lockId, info }))) {
      const holder = await lockOf(trx, environmentId);
      if (holder) throw heldMessage(environmentId, holder);
      throw new WindlassError('locked', `the state of ${environmentId} was locked until just now`, {
        hint: 'Try again.',
        class: 'lock',
      });
    }
    const old = await readVersion({ db: trx, secrets }, { environmentId, versionId });
    const now = await latestStateVersion(trx, environmentId);
    const body = withSerial(old.body, Math.max(old.serial, now?.serial ?? 0) + 1);
    const added = await insertStateVersion(trx, keepVersions, {
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
    await deleteStateLock(trx, environmentId, lockId);
    await audit(trx, {
      actor,
      action: 'state.restore',
      environmentId,
      before: now,
      after: { versionId: added.id, restoredFrom: versionId },
    });
    const row = await findStateVersion(trx, environmentId, added.id ?? 0);
    if (row === null) throw new WindlassError('internal', `the restored state of ${environmentId} was not kept`);
    const { body: _, ...version } = row;
    return version;
  });
}
