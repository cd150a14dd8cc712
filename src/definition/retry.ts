/** Whether a failed node is tried again by itself. */
import type { ErrorClass, RetryRule } from '../model/index.ts';
import { matchPattern } from './pattern.ts';
import { listed, quote } from './text.ts';

/** Failures that the same try would meet again, or that something else already deals with; a rule cannot name them. */
export const neverRetried: readonly ErrorClass[] = ['definition', 'credentials', 'stalePlan', 'cancelled'];

/**
 * Failures that can pass by themselves: what a rule means that names no classes. `tool` is among them because scripts and
 * many providers say nothing better than that they failed; whoever wrote the rule wants those tried again.
 */
export const retriedByDefault: readonly ErrorClass[] = ['quota', 'lock', 'provider', 'timeout', 'tool'];

const longestWaitMs = 86_400_000;

export interface FailedTry {
  readonly class: ErrorClass;
  readonly message: string;
  /** From 1. */
  readonly try: number;
}

export type RetryDecision =
  { readonly retry: true; readonly afterMs: number } | { readonly retry: false; readonly because: string };

/** Decides after a failed try. Waits grow by `backoff`, to a day at most. */
export function retryDecision(rule: RetryRule | null | undefined, failed: FailedTry): RetryDecision {
  const no = (because: string): RetryDecision => ({ retry: false, because });
  if (rule === null || rule === undefined || rule.maximum === 0) return no('no retries are set');
  if (neverRetried.includes(failed.class)) return no(`a ${failed.class} error does not pass by itself`);
  const classes = rule.classes ?? retriedByDefault;
  if (!classes.includes(failed.class)) {
    return no(
      rule.classes === undefined
        ? `a ${failed.class} error does not pass by itself`
        : `only ${listed(classes)} errors are retried, and this is a ${failed.class} error`,
    );
  }
  if (failed.try > rule.maximum)
    return no(rule.maximum === 1 ? 'the one retry is used up' : `all ${rule.maximum} retries are used up`);
  if (rule.onlyWhenMatches !== undefined) {
    // A message can be a tool's whole output; what a rule looks for is at its beginning or end.
    const message =
      failed.message.length > 9000
        ? `${failed.message.slice(0, 4500)}\n${failed.message.slice(-4500)}`
        : failed.message;
    const answer = matchPattern(rule.onlyWhenMatches, message);
    if (answer.problem !== null) return no(`the retry rule cannot be used: ${answer.problem}`);
    if (!answer.matches) return no(`the message does not match ${quote(rule.onlyWhenMatches)}`);
  }
  const waitMs = rule.intervalSeconds * 1000 * rule.backoff ** (failed.try - 1);
  return { retry: true, afterMs: Math.round(Math.min(waitMs, longestWaitMs)) };
}
