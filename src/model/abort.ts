import { messageOf } from './errors.ts';

/**
 * The result of the work, or the reason of the signal once it is aborted. The work is given `graceMs` to end by itself and
 * clear up, and may go on for others.
 */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined, graceMs = 0): Promise<T> {
  if (signal === undefined) return work;
  let onAbort = (): void => undefined;
  let grace: NodeJS.Timeout | undefined;
  const aborted = new Promise<never>((_, reject) => {
    const giveUp = (): void =>
      reject(signal.reason instanceof Error ? signal.reason : new Error(messageOf(signal.reason)));
    onAbort = () => {
      if (graceMs === 0) giveUp();
      else grace = setTimeout(giveUp, graceMs);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  // Nobody hears of the one that is not waited for any more.
  work.catch(() => undefined);
  aborted.catch(() => undefined);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    clearTimeout(grace);
    signal.removeEventListener('abort', onAbort);
  }
}
