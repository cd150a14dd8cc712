import { Client } from 'pg';
import type { Notification } from 'pg';
import { toStoreError } from './unavailable.ts';

const shortestPauseMs = 100;
const longestPauseMs = 10_000;
const pingEveryMs = 15_000;

export interface PostgresSessionOptions {
  readonly url: string;
  readonly applicationName: string;
  /** Readies each new connection before anybody gets it. */
  readonly prepare: (client: Client) => Promise<void>;
  readonly onNotification?: ((notification: Notification) => void) | undefined;
  /** A lost connection was replaced, and is ready. */
  readonly onMended?: (() => void) | undefined;
  readonly onLost?: (() => void) | undefined;
  /** Whether a lost connection is to be replaced. */
  readonly isWanted: () => boolean;
}

/** One connection of its own, for what belongs to a session, and its successors when it is lost. */
export interface PostgresSession {
  /** null while there is none. */
  readonly client: Client | null;
  /** Opens the connection when there is none. Throws `unavailable`. */
  open(): Promise<void>;
  close(): Promise<void>;
}

export function keepPostgresSession(options: PostgresSessionOptions): PostgresSession {
  let client: Client | null = null;
  let opening: Promise<void> | null = null;
  let pauseMs = shortestPauseMs;
  let retry: NodeJS.Timeout | undefined;
  let ping: NodeJS.Timeout | undefined;
  let closed = false;

  function drop(lost: Client): void {
    if (client !== lost) return;
    client = null;
    clearInterval(ping);
    lost.end().catch(() => undefined);
    options.onLost?.();
    reopenLater();
  }

  function reopenLater(): void {
    if (closed || !options.isWanted()) return;
    clearTimeout(retry);
    // Spread, so that many processes do not come back at the same instant.
    retry = setTimeout(() => void reopen(), pauseMs * (0.5 + Math.random()));
    retry.unref();
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  }

  async function reopen(): Promise<void> {
    try {
      await open();
    } catch {
      reopenLater();
      return;
    }
    options.onMended?.();
  }

  function open(): Promise<void> {
    opening ??= connect().finally(() => {
      opening = null;
    });
    return opening;
  }

  async function connect(): Promise<void> {
    if (client) return;
    const opened = new Client({
      connectionString: options.url,
      application_name: options.applicationName,
      keepAlive: true,
      connectionTimeoutMillis: 5000,
      query_timeout: 5000,
    });
    opened.on('error', () => drop(opened));
    opened.on('end', () => drop(opened));
    if (options.onNotification) opened.on('notification', options.onNotification);
    try {
      await opened.connect();
      await options.prepare(opened);
    } catch (error) {
      opened.end().catch(() => undefined);
      throw toStoreError(error);
    }
    if (closed) {
      await opened.end();
      return;
    }
    client = opened;
    pauseMs = shortestPauseMs;
    // A connection whose other end has vanished says nothing; only a question finds out.
    ping = setInterval(() => void opened.query('SELECT 1').catch(() => drop(opened)), pingEveryMs);
    ping.unref();
  }

  return {
    get client() {
      return client;
    },
    open,
    async close() {
      closed = true;
      clearTimeout(retry);
      clearInterval(ping);
      const last = client;
      client = null;
      await opening?.catch(() => undefined);
      await last?.end().catch(() => undefined);
    },
  };
}
