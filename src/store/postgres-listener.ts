import { keepPostgresSession } from './postgres-session.ts';
import { toStoreError } from './unavailable.ts';

export interface ChannelListener {
  listen(channel: string, onPayload: (payload: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** One connection for all channels, opened with the first subscriber and mended as long as there is one. */
export function listenOnPostgres(url: string): ChannelListener {
  const channels = new Map<string, Set<(payload: string) => void>>();
  const session = keepPostgresSession({
    url,
    applicationName: 'windlass-listen',
    async prepare(client) {
      for (const channel of channels.keys()) await client.query(`LISTEN ${channel}`);
    },
    onNotification: ({ channel, payload }) => tell(channels.get(channel) ?? [], payload ?? ''),
    onMended() {
      for (const listeners of channels.values()) tell(listeners, '');
    },
    isWanted: () => channels.size > 0,
  });

  function tell(listeners: Iterable<(payload: string) => void>, payload: string): void {
    for (const onPayload of [...listeners]) {
      try {
        onPayload(payload);
      } catch {
        // One subscriber's mistake is not another's.
      }
    }
  }

  async function unsubscribe(channel: string, onPayload: (payload: string) => void): Promise<void> {
    const listeners = channels.get(channel);
    if (!listeners?.delete(onPayload) || listeners.size > 0) return;
    channels.delete(channel);
    await session.client?.query(`UNLISTEN ${channel}`).catch(() => undefined);
  }

  return {
    async listen(channel, onPayload) {
      const known = channels.get(channel);
      if (known) known.add(onPayload);
      else channels.set(channel, new Set([onPayload]));
      try {
        const wasOpen = session.client !== null;
        await session.open();
        if (wasOpen) await session.client?.query(`LISTEN ${channel}`);
      } catch (error) {
        channels.get(channel)?.delete(onPayload);
        if (channels.get(channel)?.size === 0) channels.delete(channel);
        throw toStoreError(error);
      }
      return () => unsubscribe(channel, onPayload);
    },
    async close() {
      channels.clear();
      await session.close();
    },
  };
}
