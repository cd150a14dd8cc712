/** Subscribes to a channel of the database; answers how to stop. */
export type Listen = (onMessage: (payload: string) => void) => Promise<() => Promise<void>>;

/** Tells many readers that a table has grown, with one listener on the database for all of them. */
export interface Waker {
  /** `wake` gets the payload, or null when anything may have happened. Answers how to stop. */
  subscribe(wake: (payload: string | null) => void): () => void;
  close(): Promise<void>;
}

const retryMs = 1000;

/**
 * Listens only while somebody reads. A notification is a hint: readers look into the table themselves, so that a lost
 * one delays and never loses anything.
 */
export function createWaker(listen: Listen): Waker {
  const subscribers = new Set<(payload: string | null) => void>();
  let stopListening: (() => Promise<void>) | null = null;
  let starting = false;
  let closed = false;
  let retry: NodeJS.Timeout | undefined;

  function wakeAll(payload: string | null): void {
    for (const wake of subscribers) wake(payload);
  }

  async function start(): Promise<void> {
    if (starting || stopListening || closed) return;
    starting = true;
    try {
      const stop = await listen(wakeAll);
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
