/** What is shown of work that takes longer than people expect. */
import { nameOfSource } from './sources.ts';
import type { Sources } from './sources.ts';

/** Quicker work is not worth a word. */
const firstAfterMs = 1000;
const againEveryMs = 5000;

export type Say = (text: string) => void;

/** `12 s`, `2 min 10 s`. */
export function elapsed(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Says what is being done once it takes longer than a second, and from then on how long it has taken. */
export async function saying<T>(say: Say, what: string, work: () => Promise<T>): Promise<T> {
  const sinceMs = Date.now();
  let timer = setTimeout(function tell() {
    say(`${what}, ${elapsed(Date.now() - sinceMs)}`);
    timer = setTimeout(tell, againEveryMs);
  }, firstAfterMs);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
  }
}

/** Sources that end with the signal, and say what takes long. */
export function watchedSources(sources: Sources, { signal, say }: { signal: AbortSignal; say: Say }): Sources {
  return {
    ...sources,
    resolve: (source, options = {}) =>
      saying(say, `reading ${nameOfSource(source)}`, () => sources.resolve(source, { signal, ...options })),
    checkout: (source, commit, options = {}) =>
      saying(say, `fetching ${nameOfSource(source)}`, () => sources.checkout(source, commit, { signal, ...options })),
  };
}
