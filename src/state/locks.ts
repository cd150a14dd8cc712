import { systemActor, WindlassError } from '../model/index.ts';
import type { Actor } from '../model/index.ts';
import {
  deleteLockOfGrant,
  deleteStateLock,
  fenceGrant,
  findStateLock,
  freeEndedLocks,
  insertStateLock,
  inTransaction,
  recordEvent,
} from '../store/index.ts';
import type { Db } from '../store/index.ts';
import { audit } from './audit.ts';
import { fenced, readOnly } from './grants.ts';
import { lockInfoSchema } from './types.ts';
import type { Grant, LockInfo, StateContext, StateLock } from './types.ts';

function toInfo(info: unknown, lockId: string): LockInfo {
  const parsed = lockInfoSchema.safeParse(info);
  return parsed.success ? parsed.data : lockInfoSchema.parse({ ID: lockId });
}

export async function lockOf(db: Db, environmentId: string): Promise<StateLock | null> {
  const lock = await findStateLock(db, environmentId);
  if (lock === null) return null;
  return { ...lock, info: toInfo(lock.info, lock.lockId), acquiredAt: lock.acquiredAt.toISOString() };
}

export function heldMessage(environmentId: string, lock: StateLock): WindlassError {
  const { Who, Operation, Created } = lock.info;
  const run = lock.deploymentId ? ` for deployment ${lock.deploymentId}` : '';
  const detail = [Operation, Who && `by ${Who}`, Created && `since ${Created}`].filter((part) => part !== '').join(' ');
  return new WindlassError(
    'locked',
    `the state of ${environmentId} is locked${run} with lock ${lock.lockId}${detail ? ` (${detail})` : ''}`,
    {
      hint: 'Wait for it to end, or unlock the state by hand when you know that its holder is gone.',
      class: 'lock',
    },
  );
}

/** Takes the lock. Answers null when taken, also when this grant has this very lock already. */
export async function takeLock(context: StateContext, grant: Grant, info: LockInfo): Promise<StateLock | null> {
  const { db } = context;
  if (grant.readOnly) throw readOnly(grant.environmentId);
  const row = await insertStateLock(db, grant, { lockId: info.ID, info });
  if (!row || row.fenced) throw fenced(grant.environmentId);
  if (row.taken !== null) return null;
  if (row.lock_id === info.ID && row.grant_id === grant.id) return null;
  const holder = await lockOf(db, grant.environmentId);
  // taken in the moment in which its grant ended
  if (holder !== null && (await freeEndedLocks(db, grant.environmentId)) > 0) return takeLock(context, grant, info);
  // freed since: the holder is gone, so try once more from the start
  if (!holder) return takeLock(context, grant, info);
  return holder.lockId === info.ID && holder.grantId === grant.id ? null : holder;
}

/** Frees the lock. Nothing to free is fine; another's lock is not. */
export async function dropLock({ db }: StateContext, grant: Grant, lockId: string | null): Promise<void> {
  if (grant.readOnly) throw readOnly(grant.environmentId);
  const row = await deleteLockOfGrant(db, grant, lockId);
  if (!row || row.fenced) throw fenced(grant.environmentId);
  if (row.dropped !== null || row.lock_id === null) return;
  // ours, and yet not dropped: somebody has freed it at the same time
  if (row.lock_id === lockId && row.grant_id === grant.id) return;
  throw new WindlassError(
    'conflict',
    `the state of ${grant.environmentId} is locked with lock ${row.lock_id}, not ${lockId ?? 'an unnamed one'}, by another holder`,
    {
      hint: 'Unlock the state by hand when you know that its holder is gone.',
      class: 'lock',
    },
  );
}

/** Frees exactly this lock, and says so where the environment's events are read and in the audit log. */
export async function releaseLock(
  { db }: StateContext,
  request: { environmentId: string; lockId: string; because: string },
): Promise<boolean> {
  const { environmentId, lockId, because } = request;
  return inTransaction(db, async (trx) => {
    const row = await deleteStateLock(trx, environmentId, lockId);
    if (!row) return false;
    await audit(trx, {
      actor: systemActor,
      action: 'state.unlock',
      environmentId,
      before: { ...toInfo(row.info, lockId), lockId, deploymentId: row.deploymentId },
      after: { reason: because },
    });
    await recordEvent(trx, {
      type: 'environment.warning',
      environmentId,
      deploymentId: row.deploymentId,
      alias: null,
      data: { kind: 'stateUnlocked', lockId, message: `the lock of the state was freed: ${because}` },
    });
    return true;
  });
}

/** Fences first, as every writer takes its grant before its lock. */
export async function forceUnlock(
  { db }: StateContext,
  request: { environmentId: string; actor: Actor; reason: string },
): Promise<StateLock | null> {
  const { environmentId, actor, reason } = request;
  return inTransaction(db, async (trx) => {
    const lock = await lockOf(trx, environmentId);
    if (!lock) return null;
    if (lock.grantId !== null) await fenceGrant(trx, lock.grantId);
    if ((await deleteStateLock(trx, environmentId, lock.lockId)) === null) return null;
    await audit(trx, {
      actor,
      action: 'state.unlock',
      environmentId,
      before: { lockId: lock.lockId, deploymentId: lock.deploymentId, ...lock.info },
      after: { reason },
    });
    return lock;
  });
}
