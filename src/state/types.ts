import { z } from 'zod';
import type { Actor, Page, StateVersion } from '../model/index.ts';
import type { SecretBox } from '../access/index.ts';
import type { Db } from '../store/index.ts';
import type { StateDiff } from './state-file.ts';

/** Encrypts what is kept; a ciphertext opens only in the context it was sealed for: its environment. */
export type StateSecrets = Pick<SecretBox, 'sealBytes' | 'openBytes'>;

export interface StateContext {
  readonly db: Db;
  readonly secrets: StateSecrets;
  /** How many versions of a state are kept. */
  readonly keepVersions: number;
}

/** One node of a run, or the compensation of it. */
export interface RunReference {
  readonly deploymentId: string;
  readonly index: number;
  readonly compensation: boolean;
}

export interface GrantRequest extends RunReference {
  readonly environmentId: string;
  readonly readOnly: boolean;
}

/** A grant whose token was proven. Whether it is fenced is looked at with each use. */
export interface Grant {
  readonly id: string;
  readonly environmentId: string;
  readonly readOnly: boolean;
}

const line = z
  .string()
  .max(4_000)
  .transform((text) => text.replaceAll('\0', ''))
  .default('');

/** What the tools send to lock and expect back of a holder. */
export const lockInfoSchema = z.object({
  ID: z.string().min(1).max(200),
  Operation: line,
  Info: line,
  Who: line,
  Version: line,
  Created: line,
  Path: line,
});
export type LockInfo = z.infer<typeof lockInfoSchema>;

export interface StateLock {
  readonly lockId: string;
  readonly info: LockInfo;
  readonly deploymentId: string | null;
  readonly index: number | null;
  readonly grantId: string | null;
  readonly acquiredAt: string;
}

export interface StateBody {
  readonly body: Uint8Array;
  /** In hexadecimal. */
  readonly md5: string;
}

/** The Terraform HTTP backend's verbs, for a proven grant. All throw `forbidden` when it is fenced. */
export interface StateProtocol {
  /** Null when the id, token or environment does not fit. */
  authenticate(environmentId: string, grantId: string, token: string): Promise<Grant | null>;
  read(grant: Grant): Promise<StateBody | null>;
  /** Throws `locked` without the lock, `conflict` for a serial or lineage that does not follow. */
  write(grant: Grant, lockId: string, body: Uint8Array): Promise<void>;
  /** Forgets the state, which stays among the versions. */
  remove(grant: Grant): Promise<void>;
  /** Null when taken; else who has it. */
  lock(grant: Grant, info: LockInfo): Promise<StateLock | null>;
  unlock(grant: Grant, lockId: string | null): Promise<void>;
}

export interface StateStore {
  readonly protocol: StateProtocol;
  /** Lets one call of a tool use the state of one environment. The token is told only here. */
  grant(request: GrantRequest): Promise<{ readonly id: string; readonly token: string }>;
  /** When this has returned, nothing that the grant began afterwards or before can take effect any more. */
  fenceGrant(grantId: string): Promise<void>;
  /** Fences every grant of a node's run; answers their ids. */
  fenceRun(run: RunReference): Promise<readonly string[]>;
  /** Removes grants that are this old and hold no lock; answers how many. */
  pruneGrants(olderThanMs: number): Promise<number>;
  latest(environmentId: string): Promise<{ serial: number; lineage: string; versionId: number } | null>;
  lockOf(environmentId: string): Promise<StateLock | null>;
  /** Frees the lock if it is still this one: recovery, once its holder is proven dead. Recorded as an event, and audited. */
  releaseLock(request: { environmentId: string; lockId: string; because: string }): Promise<boolean>;
  /** Frees whatever lock there is and fences its holder; answers the lock, null when there was none. Audited. */
  forceUnlock(request: { environmentId: string; actor: Actor; reason: string }): Promise<StateLock | null>;
  /** Newest first. */
  listVersions(request: { environmentId: string; limit: number; cursor?: string | null }): Promise<Page<StateVersion>>;
  /** Decrypted. Throws `notFound`. */
  readVersion(request: {
    environmentId: string;
    versionId: number;
  }): Promise<StateVersion & { readonly body: Uint8Array }>;
  diffVersions(request: { environmentId: string; from: number; to: number }): Promise<StateDiff>;
  /** Makes an earlier version the newest again, with the next serial. Throws `locked` while a tool holds the lock. Audited. */
  restore(request: { environmentId: string; versionId: number; actor: Actor }): Promise<StateVersion>;
}
