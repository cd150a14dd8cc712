import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient, Query } from './api-client.ts';
import { UnreachableError } from './api-client.ts';
import { CliError } from '../exit.ts';
import { readMessages } from './sse.ts';
import type { SseMessage } from './sse.ts';

export interface FollowOptions {
  readonly client: ApiClient;
  readonly path: string;
  readonly query?: Query;
  readonly signal: AbortSignal;
  /** Called for each message; the stream ends when it answers true. */
  readonly onMessage: (message: SseMessage) => boolean | Promise<boolean>;
  readonly onConnection: (state: 'lost' | 'back') => void;
  /** Whether a clean end without an `end` message is the end. Servers that stop close their streams cleanly too. */
  readonly endsQuietly?: boolean;
  /** Gives up after this long without a connection. */
  readonly giveUpAfterMs?: number;
  readonly waitMs?: { readonly first: number; readonly longest: number };
}

/**
 * Reads a server-sent event stream to its end. A line that breaks, or a server that restarts, is met by connecting
 * again with the id of the last message, so that nothing is missed and nothing comes twice.
 */
export async function followStream(options: FollowOptions): Promise<void> {
  const { client, path, signal, onMessage, onConnection } = options;
  const wait = options.waitMs ?? { first: 250, longest: 5_000 };
  const giveUpAfterMs = options.giveUpAfterMs ?? 600_000;
  let lastEventId: string | undefined;
  let lostAt: number | null = null;
  let waitMs = wait.first;
  while (!signal.aborted) {
    try {
      const body = await client.open(path, { ...(options.query ? { query: options.query } : {}), lastEventId, signal });
      if (lostAt !== null) onConnection('back');
      lostAt = null;
      waitMs = wait.first;
      for await (const message of readMessages(body, signal)) {
        if (message.id !== undefined) lastEventId = message.id;
        if (await handle(onMessage, message)) return;
      }
      if (options.endsQuietly || signal.aborted) return;
    } catch (error) {
      if (error instanceof HandlerError) throw error.cause;
      if (signal.aborted) return;
      if (!passes(error)) throw error;
      if (lostAt !== null && Date.now() - lostAt > giveUpAfterMs) throw error;
    }
    if (lostAt === null) {
      lostAt = Date.now();
      onConnection('lost');
    }
    await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    waitMs = Math.min(wait.longest, waitMs * 2);
  }
}

/** Wraps what the receiver of messages throws: that is no fault of the line. */
class HandlerError extends Error {}

async function handle(onMessage: FollowOptions['onMessage'], message: SseMessage): Promise<boolean> {
  try {
    return await onMessage(message);
  } catch (error) {
    throw new HandlerError('handler', { cause: error });
  }
}

/** Broken lines and servers that are away pass by themselves; refusals do not. */
function passes(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  return error instanceof CliError ? error.code === 'unavailable' : true;
}
