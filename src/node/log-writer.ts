import { setTimeout as wait } from 'node:timers/promises';
import type { Masker, MaskStream } from '../masking/index.ts';
import type { NewLogChunk, Stage } from '../model/index.ts';
import { createCleaner, splitText } from './clean-text.ts';
import type { TextCleaner } from './clean-text.ts';

export interface LogOptions {
  /** Stores chunks in their order. */
  readonly append: (chunks: readonly NewLogChunk[]) => Promise<void>;
  readonly masker: Pick<Masker, 'stream'>;
  /** Called after chunks were stored. */
  readonly onFlush?: (stored: { readonly bytes: number }) => void;
  readonly limits?: Partial<LogLimits>;
}

export interface LogLimits {
  /** Kept of one node and try, in bytes; 10 MiB. */
  readonly maxBytes: number;
  /** Held in memory while the database is slow or away, in bytes; 4 MiB. */
  readonly maxBufferBytes: number;
  /** Longest wait before text is stored. */
  readonly delayMs: number;
  /** Text that is stored at once, in bytes. */
  readonly batchBytes: number;
  /** How long `close` goes on trying while the database is away. */
  readonly closeTimeoutMs: number;
}

const defaults: LogLimits = {
  maxBytes: 10 * 1024 ** 2,
  maxBufferBytes: 4 * 1024 ** 2,
  delayMs: 250,
  batchBytes: 16 * 1024,
  closeTimeoutMs: 60_000,
};

const maxChunkBytes = 64 * 1024;
const maxBatchBytes = 512 * 1024;
const retryMs = { first: 250, longest: 5_000 };

/** Where the output of one try of a node goes. */
export interface LogWriter {
  /** Never throws and never waits. */
  write(stage: Stage, text: string | Uint8Array): void;
  /**
   * Stores what is there; false when the database did not take it, which is tried again by itself. Text that could be
   * the beginning of a secret stays until its rest, another stage or `close` comes.
   */
  flush(): Promise<boolean>;
  /** Stores everything, with patience; answers how many bytes were lost. */
  close(): Promise<{ readonly droppedBytes: number }>;
}

interface Entry {
  readonly stage: Stage;
  readonly text: string;
  readonly bytes: number;
  readonly at: Date;
}

function sizeText(bytes: number): string {
  return bytes < 1024 ** 2 ? `${Math.ceil(bytes / 1024)} KiB` : `${Number((bytes / 1024 ** 2).toFixed(1))} MiB`;
}

/** Opens the log of one try. Close it, or its last words are lost. */
export function openLog(options: LogOptions): LogWriter {
  const limits: LogLimits = { ...defaults, ...options.limits };
  let current: { readonly stage: Stage; readonly cleaner: TextCleaner; readonly mask: MaskStream } | null = null;
  let queue: Entry[] = [];
  let queuedBytes = 0;
  let acceptedBytes = 0;
  let capped = false;
  /** Lost since the last text that was taken, and altogether. */
  let gapBytes = 0;
  let droppedBytes = 0;
  let timer: NodeJS.Timeout | undefined;
  let storing: Promise<boolean> | null = null;
  let failures = 0;
  let closed = false;

  function enqueue(stage: Stage, text: string): void {
    if (text === '') return;
    const bytes = Buffer.byteLength(text);
    queue.push({ stage, text, bytes, at: new Date() });
    queuedBytes += bytes;
  }

  /** Counts what is lost here, so that the log says so where it continues. */
  function reportGap(stage: Stage): void {
    if (gapBytes === 0) return;
    enqueue(
      stage,
      `\n[windlass: ${sizeText(gapBytes)} of this log were lost while the database could not be reached]\n`,
    );
    gapBytes = 0;
  }

  function accept(stage: Stage, text: string): void {
    if (text === '' || capped) return;
    const bytes = Buffer.byteLength(text);
    if (queuedBytes + bytes > limits.maxBufferBytes) {
      gapBytes += bytes;
      droppedBytes += bytes;
      return;
    }
    reportGap(stage);
    if (acceptedBytes + bytes > limits.maxBytes) {
      capped = true;
      const [rest = ''] = splitText(text, limits.maxBytes - acceptedBytes);
      if (Buffer.byteLength(rest) <= limits.maxBytes - acceptedBytes) enqueue(stage, rest);
      enqueue(stage, `\n[windlass: this log is larger than ${sizeText(limits.maxBytes)}; the rest is not kept]\n`);
      return;
    }
    acceptedBytes += bytes;
    enqueue(stage, text);
  }

  function endStage(): void {
    if (!current) return;
    const { stage, cleaner, mask } = current;
    current = null;
    accept(stage, mask.push(cleaner.end()) + mask.flush());
  }

  function streamOf(stage: Stage) {
    if (current?.stage === stage) return current;
    // stages follow each other: what was held back of the last one has no continuation
    endStage();
    current = { stage, cleaner: createCleaner(), mask: options.masker.stream() };
    return current;
  }

  function schedule(): void {
    if (closed || timer || storing || queue.length === 0) return;
    const delayMs = failures > 0 ? Math.min(retryMs.longest, retryMs.first * 2 ** failures) : limits.delayMs;
    const full = failures === 0 && queuedBytes >= limits.batchBytes;
    timer = setTimeout(() => void store(), full ? 0 : delayMs);
    timer.unref();
  }

  /** The first entries of the queue as rows: neighbours of one stage are joined, and what is too long is split. */
  function nextBatch(): { readonly count: number; readonly bytes: number; readonly rows: NewLogChunk[] } {
    let count = 0;
    let bytes = 0;
    const joined: { stage: Stage; at: Date; texts: string[] }[] = [];
    for (const entry of queue) {
      if (count > 0 && bytes + entry.bytes > maxBatchBytes) break;
      count++;
      bytes += entry.bytes;
      const last = joined.at(-1);
      if (last?.stage === entry.stage) last.texts.push(entry.text);
      else joined.push({ stage: entry.stage, at: entry.at, texts: [entry.text] });
    }
    const rows = joined.flatMap(({ stage, at, texts }) =>
      splitText(texts.join(''), maxChunkBytes).map((text) => ({ stage, at, text })),
    );
    return { count, bytes, rows };
  }

  async function storeBatches(): Promise<boolean> {
    while (queue.length > 0) {
      const { count, bytes, rows } = nextBatch();
      try {
        await options.append(rows);
      } catch {
        // an outage must not stop the tool: what is queued stays. When only the answer was lost, the chunk comes twice.
        failures++;
        return false;
      }
      failures = 0;
      queue = queue.slice(count);
      queuedBytes -= bytes;
      options.onFlush?.({ bytes });
    }
    return true;
  }

  function store(): Promise<boolean> {
    clearTimeout(timer);
    timer = undefined;
    storing ??= storeBatches().finally(() => {
      storing = null;
      schedule();
    });
    return storing;
  }

  return {
    write(stage, text) {
      if (closed) return;
      const { cleaner, mask } = streamOf(stage);
      accept(stage, mask.push(cleaner.push(text)));
      if (timer && failures === 0 && queuedBytes >= limits.batchBytes) {
        clearTimeout(timer);
        timer = undefined;
      }
      schedule();
    },
    async flush() {
      // what is being stored may have begun without the newest text
      if (storing) await storing;
      return store();
    },
    async close() {
      if (closed) return { droppedBytes };
      const stage = current?.stage;
      endStage();
      if (stage) reportGap(stage);
      closed = true;
      const deadline = Date.now() + limits.closeTimeoutMs;
      let pauseMs = retryMs.first;
      if (storing) await storing;
      while (!(await store()) && Date.now() + pauseMs < deadline) {
        await wait(pauseMs);
        pauseMs = Math.min(retryMs.longest, pauseMs * 2);
      }
      droppedBytes += queuedBytes;
      queue = [];
      queuedBytes = 0;
      return { droppedBytes };
    },
  };
}
