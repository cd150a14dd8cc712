import { z } from 'zod';

/** Subscribes to a channel of the database; answers how to stop. */
export type Listen = (onMessage: (payload: string) => void) => Promise<() => Promise<void>>;

/** Tells many readers that a table has grown, with one listener on the database for all of them. */
export interface Waker<T> {
  /** `wake` gets what was announced, or null when anything may have happened. Answers how to stop. */
  subscribe(wake: (announced: T | null) => void): () => void;
  close(): Promise<void>;
}

const retryMs = 1000;

function jsonOf<T>(schema: z.ZodType<T>) {
  return z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: 'custom', message: 'is not JSON' });
        return z.NEVER;
      }
    })
    .pipe(schema);
}

/**
 * Listens only while somebody reads. A notification is a hint: readers look into the table themselves, so that a lost
 * one delays and never loses anything.
 */
export function createWaker<T>(listen: Listen, schema: z.ZodType<T>): Waker<T> {
  const subscribers = new Set<(announced: T | null) => void>();
  const json = jsonOf(schema);
  let stopListening: (() => Promise<void>) | null = null;
  let starting = false;
  let closed = false;
  let retry: NodeJS.Timeout | undefined;

  function wakeAll(announced: T | null): void {
    for (const wake of subscribers) wake(announced);
  }

  /** Read once for all readers; what is not understood wakes everybody. */
  function take(payload: string): void {
    const parsed = json.safeParse(payload);
    wakeAll(parsed.success ? parsed.data : null);
  }

  async function start(): Promise<void> {
    if (starting || stopListening || closed) return;
    starting = true;
    try {
      const stop = await listen(take);
      if (closed) await stop();
      else stopListening = stop;
      // Whatever came between a reader's last look and this moment was not announced to it.
      wakeAll(null);
    } catch {
      retry = setTimeout(() => void start(), retryMs);
      retry.unref();
    } finally {
      starting = false;
    }
  }

  return {
    subscribe(wake) {
      subscribers.add(wake);
      void start();
      return () => subscribers.delete(wake);
    },
    async close() {
      closed = true;
      clearTimeout(retry);
      subscribers.clear();
      const stop = stopListening;
      stopListening = null;
      await stop?.();
    },
  };
}
