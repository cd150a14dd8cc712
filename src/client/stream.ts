import { setTimeout as sleep } from 'node:timers/promises';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import type { EventSourceMessage } from 'eventsource-parser/stream';
import type { z } from 'zod';
import { parseAnswer } from './answer.ts';
import { isPassing, readJson } from './errors.ts';

export interface StreamOptions {
  /** Ends the stream, without an error. */
  readonly signal?: AbortSignal | undefined;
  readonly onConnection?: ((state: 'lost' | 'back') => void) | undefined;
  /** Gives up after this long without a connection; 600,000 when absent. */
  readonly giveUpAfterMs?: number | undefined;
  readonly waitMs?: { readonly first: number; readonly longest: number } | undefined;
}

/** An event of a stream: its name says what its data are. */
export type StreamEvent<E extends Readonly<Record<string, z.ZodType>>> = {
  [N in keyof E & string]: { readonly event: N; readonly id: string | undefined; readonly data: z.output<E[N]> };
}[keyof E & string];

interface Source<E> {
  readonly url: string;
  readonly what: string;
  readonly events: E;
  readonly open: (lastEventId: string | undefined, signal: AbortSignal) => Promise<ReadableStream<Uint8Array> | null>;
}

/** A message larger than this is not from a Windlass server. */
const largestMessage = 64 * 1024 * 1024;

/** Messages of a response's body, until it ends or the signal ends it. */
function readMessages(body: ReadableStream<Uint8Array>, signal: AbortSignal): ReadableStream<EventSourceMessage> {
  // The signal that the request was made with does not reach a body that is read for minutes: Node forgets it then.
  return body
    .pipeThrough(new TextDecoderStream(), { signal })
    .pipeThrough(new EventSourceParserStream({ maxBufferSize: largestMessage }));
}

/**
 * Reads a server-sent event stream to its end. A line that breaks, or a server that restarts, is met by connecting
 * again with the id of the last message, so that nothing is missed and nothing comes twice. Events that are not known
 * here, of a newer server, are left out.
 */
export async function* follow<E extends Readonly<Record<string, z.ZodType>>>(
  source: Source<E>,
  options: StreamOptions,
): AsyncGenerator<StreamEvent<E>, void, undefined> {
  const { onConnection, giveUpAfterMs = 600_000, waitMs = { first: 250, longest: 5_000 } } = options;
  // Whoever stops reading closes the connection too.
  const left = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal;
  let lastEventId: string | undefined;
  let lostAt: number | null = null;
  let wait = waitMs.first;
  try {
    while (!signal.aborted) {
      try {
        const body = await source.open(lastEventId, signal);
        if (lostAt !== null) onConnection?.('back');
        lostAt = null;
        wait = waitMs.first;
        for await (const { id, event: name = 'message', data } of body ? readMessages(body, signal) : []) {
          lastEventId = id ?? lastEventId;
          const schema = Object.hasOwn(source.events, name) ? source.events[name] : undefined;
          if (!schema) continue;
          const what = `${source.what}, event ${name},`;
          yield {
            event: name,
            id,
            data: parseAnswer(schema, readJson(data), { what, url: source.url }),
          } as StreamEvent<E>;
          if (name === 'end') return;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!isPassing(error)) throw error;
        if (lostAt !== null && Date.now() - lostAt > giveUpAfterMs) throw error;
      }
      if (signal.aborted) return;
      // Servers that stop close their streams cleanly too: only `end` is the end.
      if (lostAt === null) {
        lostAt = Date.now();
        onConnection?.('lost');
      }
      await sleep(wait, undefined, { signal }).catch(() => undefined);
      wait = Math.min(waitMs.longest, wait * 2);
    }
  } finally {
    left.abort();
  }
}
