/** Reads of the database that many readers want at the same moment, done once for all of them. */
export interface SharedReads {
  /**
   * Answers what a read that begins now or later finds. One that has begun already may miss what the caller was told of,
   * so the caller joins the next one of the same key; at most two of a key are open at a time.
   */
  read<T>(key: string, read: () => Promise<T>): Promise<T>;
}

interface OpenRead {
  readonly running: Promise<unknown>;
  next: Promise<unknown> | null;
}

export function createSharedReads(): SharedReads {
  const open = new Map<string, OpenRead>();

  function begin(key: string, read: () => Promise<unknown>): Promise<unknown> {
    const running = read().finally(() => {
      if (open.get(key) === entry) open.delete(key);
    });
    const entry: OpenRead = { running, next: null };
    open.set(key, entry);
    return running;
  }

  return {
    read<T>(key: string, read: () => Promise<T>): Promise<T> {
      const entry = open.get(key);
      if (entry === undefined) return begin(key, read) as Promise<T>;
      entry.next ??= entry.running.then(
        () => begin(key, read),
        () => begin(key, read),
      );
      return entry.next as Promise<T>;
    },
  };
}
