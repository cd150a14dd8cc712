import { Client } from 'pg';
import { toStoreError } from './unavailable.ts';

const shortestPauseMs = 100;
const longestPauseMs = 10_000;
const pingEveryMs = 15_000;

export interface ChannelListener {
  listen(channel: string, onPayload: (payload: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** One connection for all channels, opened with the first subscriber and mended as long as there is one. */
export function listenOnPostgres(url: string): ChannelListener {
  const channels = new Map<string, Set<(payload: string) => void>>();
  let client: Client | null = null;
  let connecting: Promise<void> | null = null;
  let pauseMs = shortestPauseMs;
  let retry: NodeJS.Timeout | undefined;
  let ping: NodeJS.Timeout | undefined;
  let closed = false;

  function tell(listeners: Iterable<(payload: string) => void>, payload: string): void {
    for (const onPayload of [...listeners]) {
      try {
        onPayload(payload);
      } catch {
        // One subscriber's mistake is not another's.
      }
    }
  }

  function drop(lost: Client): void {
    if (client !== lost) return;
    client = null;
    clearInterval(ping);
    lost.end().catch(() => undefined);
    reconnectLater();
  }

  function reconnectLater(): void {
    if (closed || channels.size === 0) return;
    clearTimeout(retry);
    // Spread, so that many processes do not come back at the same instant.
    retry = setTimeout(() => void reconnect(), pauseMs * (0.5 + Math.random()));
    retry.unref();
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  }

  async function reconnect(): Promise<void> {
    try {
      await connect();
    } catch {
      reconnectLater();
      return;
    }
    for (const listeners of channels.values()) tell(listeners, '');
  }

  function connect(): Promise<void> {
    connecting ??= open().finally(() => {
      connecting = null;
    });
    return connecting;
  }

  async function open(): Promise<void> {
    if (client) return;
    const opened = new Client({
      connectionString: url,
      application_name: 'windlass-listen',
      keepAlive: true,
      connectionTimeoutMillis: 5000,
      query_timeout: 5000,
    });
    opened.on('error', () => drop(opened));
    opened.on('end', () => drop(opened));
    opened.on('notification', ({ channel, payload }) => tell(channels.get(channel) ?? [], payload ?? ''));
    try {
      await opened.connect();
      for (const channel of channels.keys()) await opened.query(`LISTEN ${channel}`);
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

  async function unsubscribe(channel: string, onPayload: (payload: string) => void): Promise<void> {
    const listeners = channels.get(channel);
    if (!listeners?.delete(onPayload) || listeners.size > 0) return;
    channels.delete(channel);
    await client?.query(`UNLISTEN ${channel}`).catch(() => undefined);
  }

  return {
    async listen(channel, onPayload) {
      const known = channels.get(channel);
      if (known) known.add(onPayload);
      else channels.set(channel, new Set([onPayload]));
      try {
        const wasOpen = client !== null;
        await connect();
        if (wasOpen) await client?.query(`LISTEN ${channel}`);
      } catch (error) {
        channels.get(channel)?.delete(onPayload);
        if (channels.get(channel)?.size === 0) channels.delete(channel);
        throw toStoreError(error);
      }
      return () => unsubscribe(channel, onPayload);
    },
    async close() {
      closed = true;
      clearTimeout(retry);
      clearInterval(ping);
      channels.clear();
      const open = client;
      client = null;
      await connecting?.catch(() => undefined);
      await open?.end().catch(() => undefined);
    },
  };
}
