/**
 * The end of an environment, as the workflow of the environment follows it: one state, and what may happen to it. Bundled
 * into the workflow sandbox: no clock of its own, no I/O.
 */
import { nextTtlMoment, warningsStillGiven } from './ttl.ts';

/** A destroy that was asked for in vain, or did not succeed, is asked for again after this long, in milliseconds. */
export const destroyRetryMs = 3600_000;

/** What has become of the destroy that belongs to the end. */
export type ExpiryDestroy =
  /** Asked for as soon as the end is due. */
  | { readonly kind: 'pending' }
  /** Was asked for, or has failed: not asked for again before this moment, epoch milliseconds. */
  | { readonly kind: 'backoff'; readonly untilMs: number }
  /** From its queueing to its ending. */
  | { readonly kind: 'scheduled'; readonly deploymentId: string };

export interface Expiry {
  /** Epoch milliseconds; null lives for ever. */
  readonly expiresAtMs: number | null;
  /** Warnings given for this end, in milliseconds before it. */
  readonly warnedMs: readonly number[];
  /** The end whose destroy was refused, which was said once; null means none. */
  readonly refusedMs: number | null;
  readonly destroy: ExpiryDestroy;
}

/** What of it outlives a continue-as-new. */
export interface SavedExpiry {
  readonly expiresAtMs?: number | null;
  readonly warnedMs?: readonly number[];
  readonly refusedEndMs?: number | null;
}

export type ExpiryStep =
  /** Nothing before somebody says something. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'wait'; readonly forMs: number }
  | { readonly kind: 'warn'; readonly expiresAtMs: number; readonly remainingMs: number; readonly next: Expiry }
  /** `told`: that it was refused has been said before. */
  | { readonly kind: 'destroy'; readonly expiresAtMs: number; readonly told: boolean; readonly next: Expiry };

const pending: ExpiryDestroy = { kind: 'pending' };
/** A moment that is nearly there is not waited for in smaller steps than this. */
const shortestWaitMs = 1000;

export function restoredExpiry({ expiresAtMs = null, warnedMs = [], refusedEndMs = null }: SavedExpiry = {}): Expiry {
  return { expiresAtMs, warnedMs, refusedMs: refusedEndMs, destroy: pending };
}

export function savedExpiry({ expiresAtMs, warnedMs, refusedMs }: Expiry): Required<SavedExpiry> {
  return { expiresAtMs, warnedMs, refusedEndMs: refusedMs };
}

/** What is to be done now. `next` is the state from the moment at which that is begun. */
export function expiryStep(expiry: Expiry, nowMs: number): ExpiryStep {
  const { expiresAtMs, destroy } = expiry;
  if (expiresAtMs === null) return { kind: 'idle' };
  const moment = nextTtlMoment(nowMs, expiresAtMs, expiry.warnedMs);
  switch (moment.kind) {
    case 'wait':
      return { kind: 'wait', forMs: Math.max(shortestWaitMs, moment.untilMs - nowMs) };
    case 'warn': {
      const { remainingMs, warnedMs } = moment;
      return { kind: 'warn', expiresAtMs, remainingMs, next: { ...expiry, warnedMs } };
    }
    case 'destroy':
  }
  if (destroy.kind === 'scheduled') return { kind: 'idle' };
  if (destroy.kind === 'backoff' && destroy.untilMs > nowMs) return { kind: 'wait', forMs: destroy.untilMs - nowMs };
  const next: Expiry = { ...expiry, destroy: { kind: 'backoff', untilMs: nowMs + destroyRetryMs } };
  return { kind: 'destroy', expiresAtMs, told: expiry.refusedMs === expiresAtMs, next };
}

/** A person or a run has moved the end. A destroy that is queued for the old one stays until `destroyToWithdraw` says so. */
export function expiryMoved(expiry: Expiry, expiresAtMs: number | null, nowMs: number): Expiry {
  return {
    ...expiry,
    expiresAtMs,
    warnedMs: expiresAtMs === null ? [] : warningsStillGiven(expiry.warnedMs, nowMs, expiresAtMs),
    destroy: withoutBackoff(expiry.destroy),
  };
}

/** What refused the destroy may refuse it no longer, such as a lock. */
export function expiryUnblocked(expiry: Expiry): Expiry {
  return { ...expiry, destroy: withoutBackoff(expiry.destroy) };
}

function withoutBackoff(destroy: ExpiryDestroy): ExpiryDestroy {
  return destroy.kind === 'backoff' ? pending : destroy;
}

/** The destroy stands in the queue. */
export function destroyScheduled(expiry: Expiry, deploymentId: string): Expiry {
  return { ...expiry, destroy: { kind: 'scheduled', deploymentId } };
}

/** The destroy of this end was refused: the end stays due. */
export function destroyRefused(expiry: Expiry, expiresAtMs: number): Expiry {
  return { ...expiry, refusedMs: expiresAtMs };
}

/** A run has ended, or was dropped. Was it the destroy and is the end still due, it is asked for again after a while. */
export function destroyEnded(expiry: Expiry, deploymentId: string, nowMs: number): Expiry {
  if (!isDestroy(expiry, deploymentId)) return expiry;
  return { ...expiry, destroy: { kind: 'backoff', untilMs: nowMs + destroyRetryMs } };
}

/** The destroy was taken out of the queue, because its end was moved: that of the new one comes when it is due. */
export function destroyWithdrawn(expiry: Expiry, deploymentId: string): Expiry {
  return isDestroy(expiry, deploymentId) ? { ...expiry, destroy: pending } : expiry;
}

export function isDestroy({ destroy }: Expiry, deploymentId: string): boolean {
  return destroy.kind === 'scheduled' && destroy.deploymentId === deploymentId;
}

/** The destroy that is queued though the end is not due any more; null when there is none. */
export function destroyToWithdraw({ expiresAtMs, destroy }: Expiry, nowMs: number): string | null {
  const due = expiresAtMs !== null && expiresAtMs <= nowMs;
  return destroy.kind === 'scheduled' && !due ? destroy.deploymentId : null;
}
