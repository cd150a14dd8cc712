import { ApplicationFailure, CancelledFailure, CompleteAsyncError } from '@temporalio/activity';
import type { Logger } from 'pino';
import type { ErrorClass } from '../model/index.ts';
import { messageOf, WindlassError } from '../model/index.ts';
import { isDatabaseUnavailable } from '../store/index.ts';

/**
 * What Temporal's history says of a node's error: its class and where to read on, never its text. What a tool printed is
 * in the records alone, where masking and permissions guard it.
 */
export function historyMessage(errorClass: ErrorClass): string {
  return `an error of the class ${errorClass}; the record of the node says which`;
}

/**
 * What an activity may throw into a history: its own failures, whose texts are fixed, and Temporal's. Anything else
 * becomes a failure without its text, which may hold what must not be there; the log has it.
 */
export function forHistory(thrown: unknown, activity: string, log: Pick<Logger, 'warn'>): unknown {
  if (
    thrown instanceof ApplicationFailure ||
    thrown instanceof CancelledFailure ||
    thrown instanceof CompleteAsyncError
  )
    return thrown;
  log.warn({ activity, reason: messageOf(thrown) }, 'an activity failed and is tried again');
  const kind = isDatabaseUnavailable(thrown)
    ? 'the database is away'
    : thrown instanceof WindlassError
      ? thrown.code
      : thrown instanceof Error
        ? thrown.name
        : 'unknown';
  return ApplicationFailure.create({
    message: `${activity} failed (${kind}); the log of the worker says why`,
    type: thrown instanceof WindlassError ? thrown.code : 'Error',
  });
}
