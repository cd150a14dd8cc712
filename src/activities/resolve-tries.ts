/** What becomes of a try to resolve a run that has failed: pure, so that no error can make a run wait for ever. */
import { ApplicationFailure } from '@temporalio/activity';
import { messageOf, WindlassError } from '../model/index.ts';
import type { RunError } from '../model/index.ts';
import { isDatabaseUnavailable } from '../store/index.ts';

export interface Tries {
  /** Tries of this call so far, the failed one included. */
  readonly count: number;
  /** Since the first try of this call failed. */
  readonly failingMs: number;
  /** How long a source that cannot be reached is asked again. */
  readonly patienceMs: number;
}

export type AfterTry =
  /** Passes by itself, or says itself when to come back: Temporal calls again for as long as it takes. */
  | { readonly kind: 'leaveToTemporal' }
  | { readonly kind: 'again'; readonly afterMs: number }
  | { readonly kind: 'over'; readonly error: RunError; readonly code: string };

/** Tries of an error that nobody foresaw. */
const unforeseenTries = 3;
const longestWaitMs = 30_000;

export function afterFailedTry(thrown: unknown, tries: Tries): AfterTry {
  if (thrown instanceof ApplicationFailure || isDatabaseUnavailable(thrown)) return { kind: 'leaveToTemporal' };
  const afterMs = Math.min(longestWaitMs, 1000 * 2 ** (tries.count - 1));
  if (thrown instanceof WindlassError) {
    const mayPass = thrown.code === 'sourceUnavailable' && (thrown.class === 'provider' || thrown.class === 'timeout');
    const again = mayPass
      ? tries.failingMs + afterMs <= tries.patienceMs
      : isOfMachine(thrown) && tries.count < unforeseenTries;
    return again ? { kind: 'again', afterMs } : { kind: 'over', error: toRunError(thrown, tries), code: thrown.code };
  }
  if (tries.count < unforeseenTries) return { kind: 'again', afterMs };
  const error: RunError = {
    class: 'internal',
    message: `Windlass itself failed to read what is to be run: ${plain(messageOf(thrown))}`,
    hint: 'look into the log of the worker, then run it again; nothing was run',
  };
  return { kind: 'over', error, code: 'internal' };
}

/** A full disk, say: the source is not to blame, and it may pass. */
function isOfMachine({ code, class: kind }: WindlassError): boolean {
  return code === 'sourceUnavailable' && kind === 'internal';
}

function toRunError(thrown: WindlassError, { count, failingMs }: Tries): RunError {
  const tried = count > 1 ? ` (tried ${count} times in ${Math.round(failingMs / 1000)} s)` : '';
  return {
    class: thrown.class === 'internal' && !isOfMachine(thrown) ? 'definition' : thrown.class,
    message: plain(`${thrown.message}${tried}`),
    hint: thrown.hint === undefined ? undefined : plain(thrown.hint),
    problems: thrown.problems ?? [],
  };
}

/** PostgreSQL keeps no NUL; an error must never be the reason why an error cannot be written down. */
function plain(text: string): string {
  return text.replaceAll('\0', '\ufffd').slice(0, 8000);
}
