/**
 * Activities act on what is recorded, never on what a workflow or a message says: whoever reaches Temporal's frontend can
 * start any workflow with any input. What the records do not bear out does nothing, and is written to the audit log.
 */
import { ApplicationFailure } from '@temporalio/activity';
import type { Logger } from 'pino';
import type { Actor } from '../model/index.ts';
import type { Caller } from '../node/index.ts';
import { insertAuditEntry } from '../store/index.ts';
import type { Database } from '../store/index.ts';

export interface Refusal {
  /** Such as `control abort`. */
  readonly what: string;
  readonly because: string;
  readonly targetType: 'deployment' | 'environment';
  readonly targetId: string;
  /** What the message or the input claimed. */
  readonly said?: unknown;
}

const temporal: Actor = { kind: 'system', id: 'temporal', name: 'Temporal', from: null };

/** A flood must not fill the database: so many entries of one process in so long; the next one says how many are missing. */
const mostEntries = 100;
const windowMs = 600_000;
const recent = { sinceMs: 0, written: 0, left: 0 };

/** Whether an entry may be written, and how many could not be since the last one. */
function admit(nowMs: number): { readonly leftOut: number } | null {
  if (nowMs - recent.sinceMs >= windowMs) {
    recent.sinceMs = nowMs;
    recent.written = 0;
  }
  if (recent.written >= mostEntries) {
    recent.left++;
    return null;
  }
  recent.written++;
  const leftOut = recent.left;
  recent.left = 0;
  return { leftOut };
}

const longestText = 1000;

/** Writes down that something was refused, unless too much was lately. */
export async function auditRefusal(
  { db, log }: { readonly db: Database; readonly log?: Logger },
  caller: Caller,
  refusal: Refusal,
): Promise<void> {
  const admitted = admit(Date.now());
  if (admitted === null) return;
  const { what, because, targetType, targetId, said } = refusal;
  const text = said === undefined ? undefined : JSON.stringify(said)?.slice(0, longestText);
  log?.warn({ what, because, targetId, workflowId: caller.workflowId }, 'refused what nobody with a key has asked for');
  await insertAuditEntry(db.sql, {
    actor: temporal,
    action: 'temporal.refused',
    targetType,
    targetId: targetId.slice(0, longestText),
    projectId: null,
    after: {
      what,
      because,
      workflow: caller.workflowId.slice(0, longestText),
      ...(text === undefined ? {} : { said: text }),
      ...(admitted.leftOut === 0 ? {} : { leftOut: admitted.leftOut }),
    },
  });
}

/** Writes it down and ends the call for good. */
export async function refuseCall(
  deps: { readonly db: Database; readonly log?: Logger },
  caller: Caller,
  refusal: Refusal,
): Promise<never> {
  await auditRefusal(deps, caller, refusal);
  throw ApplicationFailure.nonRetryable(`${refusal.what} is refused: ${refusal.because}`, 'refused');
}

/** Only the workflow that a record belongs to may call for it: a second one beside it was started by a stranger. */
export async function requireCaller(
  deps: { readonly db: Database; readonly log?: Logger },
  caller: Caller,
  workflowId: string,
  refusal: Omit<Refusal, 'because'>,
): Promise<void> {
  if (caller.workflowId === workflowId) return;
  await refuseCall(deps, caller, { ...refusal, because: `it did not come from the workflow ${workflowId}` });
}
