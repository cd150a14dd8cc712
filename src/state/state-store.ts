import type { Database } from '../store/index.ts';
import { createGrants, fenceGrant, fenceRun, pruneGrants } from './grants.ts';
import { dropLock, forceUnlock, lockOf, releaseLock, takeLock } from './locks.ts';
import type { StateContext, StateSecrets, StateStore } from './types.ts';
import {
  diffVersions,
  latest,
  listVersions,
  readLatest,
  readVersion,
  removeState,
  restore,
  writeVersion,
} from './versions.ts';

export interface StateStoreOptions {
  readonly db: Database;
  readonly secrets: StateSecrets;
  /** Versions kept of each state; 100 when absent. The newest is never dropped. */
  readonly keepVersions?: number;
}

/** The state of stacks without a backend of their own: every version, encrypted, behind one lock per environment. */
export function createStateStore(options: StateStoreOptions): StateStore {
  const context: StateContext = {
    db: options.db.sql,
    secrets: options.secrets,
    keepVersions: Math.max(1, options.keepVersions ?? 100),
  };
  const grants = createGrants(context);
  return {
    protocol: {
      authenticate: grants.authenticate,
      read: (grant) => readLatest(context, grant),
      write: (grant, lockId, body) => writeVersion(context, grant, lockId, body),
      remove: (grant) => removeState(context, grant),
      lock: (grant, info) => takeLock(context, grant, info),
      unlock: (grant, lockId) => dropLock(context, grant, lockId),
    },
    grant: grants.create,
    fenceGrant: (grantId) => fenceGrant(context, grantId),
    fenceRun: (run) => fenceRun(context, run),
    pruneGrants: (olderThanMs) => pruneGrants(context, olderThanMs),
    latest: (environmentId) => latest(context.db, environmentId),
    lockOf: (environmentId) => lockOf(context.db, environmentId),
    releaseLock: (request) => releaseLock(context, request),
    forceUnlock: (request) => forceUnlock(context, request),
    listVersions: (request) => listVersions(context, request),
    readVersion: (request) => readVersion(context, request),
    diffVersions: (request) => diffVersions(context, request),
    restore: (request) => restore(context, request),
  };
}
