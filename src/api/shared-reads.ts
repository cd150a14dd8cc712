/**
 * Reads for those who follow something. There may be many of them, and they all wake at the same moment: what several want
 * is read once for all, and few reads are open at a time, so that a request of somebody else does not queue behind them.
 */
export interface SharedReads {
  /**
   * Answers what a read that begins now or later finds. One that has begun already may miss what the caller was told of,
   * so the caller joins the next one of the same key.
   */
  read<T>(key: string, read: () => Promise<T>): Promise<T>;
  /** A read that nobody shares, which waits for its turn like the others. */
  readAlone<T>(read: () => Promise<T>): Promise<T>;
}

interface OpenRead {
  /** False while it waits for its turn. */
  begun: boolean;
  result: Promise<unknown>;
  next: Promise<unknown> | null;
}

/** Reads open at a time, of the ten connections that a process has by default. */
const defaultAtOnce = 4;

export function createSharedReads(atOnce = defaultAtOnce): SharedReads {
  const open = new Map<string, OpenRead>();
  const waiting: (() => void)[] = [];
  let running = 0;

  async function readAlone<T>(read: () => Promise<T>): Promise<T> {
    if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await read();
    } finally {
      // The place is handed on, so that nobody who asks in between gets it first.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  }

  function begin<T>(key: string, read: () => Promise<T>): Promise<T> {
    const entry: OpenRead = { begun: false, result: Promise.resolve(), next: null };
    const result = readAlone(() => {
      entry.begun = true;
      return read();
    }).finally(() => open.delete(key));
    entry.result = result;
    open.set(key, entry);
    return result;
  }

  function read<T>(key: string, work: () => Promise<T>): Promise<T> {
    const entry = open.get(key);
    if (entry === undefined) return begin(key, work);
    if (!entry.begun) return entry.result as Promise<T>;
    const again = (): Promise<T> => read(key, work);
    entry.next ??= entry.result.then(again, again);
    return entry.next as Promise<T>;
  }

  return { read, readAlone };
}
