import { fenceGrant, fenceGrantsOf, latestStateVersion, pruneGrants } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { createGrants } from './grants.ts';
import { dropLock, forceUnlock, lockOf, releaseLock, takeLock } from './locks.ts';
import type { StateContext, StateSecrets, StateStore } from './types.ts';
import { diffVersions, listVersions, readLatest, readVersion, removeState, restore, writeVersion } from './versions.ts';

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
    fenceGrant: (grantId) => fenceGrant(context.db, grantId),
    fenceRun: (run) => fenceGrantsOf(context.db, run),
    pruneGrants: (olderThanMs) => pruneGrants(context.db, new Date(Date.now() - olderThanMs)),
    latest: (environmentId) => latestStateVersion(context.db, environmentId),
    lockOf: (environmentId) => lockOf(context.db, environmentId),
    releaseLock: (request) => releaseLock(context, request),
    forceUnlock: (request) => forceUnlock(context, request),
    listVersions: (request) => listVersions(context, request),
    readVersion: (request) => readVersion(context, request),
    diffVersions: (request) => diffVersions(context, request),
    restore: (request) => restore(context, request),
  };
}
