import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';

/** What the checks of one wait have looked at, newest answer each. */
const looking = new AsyncLocalStorage<Map<string, string>>();
const shownLength = 1500;
const lookEveryMs = 50;

/** A little less than Jest's own limit in scripts/jest-setup.cjs, so that the wait says what it saw before Jest ends it. */
let patienceMs = 170_000;

/** A test file that takes longer than others says so here, and its waits are as patient as its tests. */
export function setTimeLimit(limitMs: number): void {
  jest.setTimeout(limitMs);
  patienceMs = limitMs - 10_000;
}

export interface UntilOptions {
  readonly withinMs?: number;
  readonly everyMs?: number;
  /** What is waited for, in the message of a wait in vain. */
  readonly what?: string;
  /** Asked once, when the wait was in vain, for what else may tell why. */
  readonly explain?: () => Promise<unknown>;
}

/** Tells the wait that runs this, if one does, what was seen: it is in the message when the wait was in vain. */
export function noteSeen(what: string, seen: unknown): void {
  const text = typeof seen === 'string' ? seen : (JSON.stringify(seen) ?? 'undefined');
  looking.getStore()?.set(what, text.length > shownLength ? `${text.slice(0, shownLength)}…` : text);
}

/**
 * Waits until the check answers something, and throws with what the check last saw when that takes too long. An error of
 * the check ends the wait at once.
 */
export async function until<T>(
  check: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  { withinMs = patienceMs, everyMs = lookEveryMs, what, explain }: UntilOptions = {},
): Promise<T> {
  const seen = new Map<string, string>();
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await looking.run(seen, async () => check());
    if (found !== null && found !== undefined && found !== false) return found;
    if (performance.now() > deadline) {
      if (explain !== undefined)
        await looking.run(seen, async () => noteSeen('besides', await explain().catch(String)));
      throw new Error(inVain(what ?? String(check), withinMs, seen));
    }
    await delay(everyMs);
  }
}

function inVain(what: string, withinMs: number, seen: ReadonlyMap<string, string>): string {
  const lines = [...seen].map(([name, text]) => `  ${name}: ${text}`);
  return [
    `waited ${withinMs / 1000} s in vain until: ${what}`,
    ...(lines.length > 0 ? ['last seen:', ...lines] : []),
  ].join('\n');
}
