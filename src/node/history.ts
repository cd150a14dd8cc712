import { ApplicationFailure, CancelledFailure, CompleteAsyncError } from '@temporalio/activity';
import type { Logger } from 'pino';
import type { ErrorClass } from '../model/index.ts';
import { messageOf, WindlassError } from '../model/index.ts';

/**
 * What Temporal's history says of a node's error: its class and where to read on, never its text. What a tool printed is
 * in the records alone, where masking and permissions guard it.
 */
export function historyMessage(errorClass: ErrorClass): string {
  return `an error of the class ${errorClass}; the record of the node says which`;
}

export interface ThrownBy {
  readonly activity: string;
  readonly log: Pick<Logger, 'warn'>;
  /** Whether the records are out of reach, so that it passes by itself. */
  readonly isAway: (error: unknown) => boolean;
}

/**
 * What an activity may throw into a history: its own failures, whose texts are fixed, and Temporal's. Anything else
 * becomes a failure without its text, which may hold what must not be there; the log has it.
 */
export function forHistory(thrown: unknown, { activity, log, isAway }: ThrownBy): unknown {
  if (
    thrown instanceof ApplicationFailure ||
    thrown instanceof CancelledFailure ||
    thrown instanceof CompleteAsyncError
  )
    return thrown;
  log.warn({ activity, reason: messageOf(thrown) }, 'an activity failed and is tried again');
  return ApplicationFailure.create({
    message: `${activity} failed (${kindOfError(thrown, isAway)}); the log of the worker says why`,
    type: thrown instanceof WindlassError ? thrown.code : 'Error',
  });
}

function kindOfError(thrown: unknown, isAway: ThrownBy['isAway']): string {
  if (isAway(thrown)) return 'the database is away';
  if (thrown instanceof WindlassError) return thrown.code;
  return thrown instanceof Error ? thrown.name : 'unknown';
}
