import { once } from 'node:events';
import type { Response } from 'express';

export interface ServerSentEvent {
  readonly id?: number;
  /** Absent for `message`. */
  readonly event?: string;
  readonly data: unknown;
}

/** Between comments that keep an idle stream open through proxies. */
const heartbeatMs = 15_000;
/** A client that takes nothing for this long is dropped; it resumes with `Last-Event-ID`. */
const stalledMs = 30_000;

/** One event in the form of the standard. JSON has no raw line ends, so that `data` is one line. */
export function formatEvent({ id, event, data }: ServerSentEvent): string {
  return `${id === undefined ? '' : `id: ${id}\n`}${event ? `event: ${event}\n` : ''}data: ${JSON.stringify(data)}\n\n`;
}

export interface SseStream {
  /** Resolves when the client can take more; false when it has gone. */
  send(event: ServerSentEvent): Promise<boolean>;
  comment(text: string): Promise<boolean>;
  end(): void;
  readonly open: boolean;
}

/**
 * Begins a stream on a response. A reader gets no more than its socket takes: `send` waits, so that a slow client holds
 * one page of events and not a growing queue.
 */
export function openStream(response: Response, gone: AbortSignal): SseStream {
  response.status(200).set({
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-cache, no-transform',
    'X-Accel-Buffering': 'no',
  });
  response.flushHeaders();

  async function write(text: string): Promise<boolean> {
    if (gone.aborted || response.destroyed) return false;
    if (response.write(text)) return true;
    const stalled = AbortSignal.timeout(stalledMs);
    try {
      await once(response, 'drain', { signal: AbortSignal.any([gone, stalled]) });
      return true;
    } catch {
      if (stalled.aborted) response.destroy();
      return false;
    }
  }

  return {
    send: async (event) => write(formatEvent(event)),
    comment: async (text) => write(`: ${text}\n\n`),
    end: () => {
      if (!response.destroyed) response.end();
    },
    get open() {
      return !gone.aborted && !response.destroyed;
    },
  };
}

export interface Tail<T> {
  readonly stream: SseStream;
  readonly gone: AbortSignal;
  /** Answers the next items after `after`, oldest first, at most a page. Empty: nothing more for now. */
  readonly read: (after: number) => Promise<readonly T[]>;
  readonly idOf: (item: T) => number;
  readonly toEvent: (item: T) => ServerSentEvent;
  /** Calls back when there may be more. */
  readonly subscribe: (wake: () => void) => () => void;
  readonly after: number;
  /** An item after which `isOver` is worth asking. */
  readonly mayEnd: (item: T) => boolean;
  /** `isOver` is asked with every look: the end is not told by an item. */
  readonly alwaysAsk?: boolean;
  /** Done after an item was sent. */
  readonly afterItem?: (item: T) => Promise<void>;
  /** Whether nothing will come any more but what is in the table by now. Asked first at the start. */
  readonly isOver: () => Promise<boolean>;
  readonly heartbeatMs?: number;
}

/** Sends what a growing table holds until the client has gone or nothing more will come; answers the last id. */
export async function followTable<T>(tail: Tail<T>): Promise<number> {
  const { stream, gone, read, idOf, toEvent } = tail;
  let after = tail.after;
  let dirty = true;
  let ask = true;
  let notify: (() => void) | null = null;
  const wake = (): void => {
    dirty = true;
    notify?.();
  };
  const unsubscribe = tail.subscribe(wake);
  gone.addEventListener('abort', wake);
  try {
    while (stream.open) {
      dirty = false;
      let askAgain = false;
      // Asked before the look, so that what was written before the end is always seen.
      const over = ask && (await tail.isOver());
      ask = tail.alwaysAsk ?? false;
      for (let page = await read(after); page.length > 0; page = await read(after)) {
        for (const item of page) {
          if (!(await stream.send(toEvent(item)))) return after;
          after = idOf(item);
          if (tail.mayEnd(item)) askAgain = true;
          await tail.afterItem?.(item);
        }
      }
      if (over) return after;
      if (askAgain || dirty || !stream.open) {
        ask ||= askAgain;
        continue;
      }
      const woken = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), tail.heartbeatMs ?? heartbeatMs);
        notify = () => {
          clearTimeout(timer);
          resolve(true);
        };
      });
      notify = null;
      if (!woken) {
        ask = true;
        if (!(await stream.comment('still here'))) return after;
      }
    }
    return after;
  } finally {
    unsubscribe();
    gone.removeEventListener('abort', wake);
  }
}
