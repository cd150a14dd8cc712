import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import type { Logger } from 'pino';
import pino from 'pino';
import type { Config } from './config.ts';

/** Never logged, wherever they stand in an object. */
const redact = ['req.headers.authorization', 'headers.authorization', '*.token', '*.password', '*.encryptionKey'];

/** The process's log: a file for the embedded server, whose terminal belongs to people; else standard output. */
export function createLogger(config: Config): Logger {
  const options = { level: config.logLevel, redact, base: { mode: config.mode } };
  if (config.mode !== 'embedded') return pino(options);
  mkdirSync(config.dataDirectory, { recursive: true, mode: 0o700 });
  return pino(
    options,
    pino.destination({ dest: join(config.dataDirectory, 'windlass.log'), sync: false, mode: 0o600 }),
  );
}

/** As Prometheus wants names to be. */
const exporterNames = { countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true };

/** `host:port` at which the core of Temporal's SDK tells its metrics; null without. */
let exporterAddress: string | null = null;

async function freeLoopbackPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** The text of the metrics of Temporal's SDK; undefined when this process does not keep them. */
export function temporalMetrics(): (() => Promise<string>) | undefined {
  const address = exporterAddress;
  if (address === null) return undefined;
  return async () => {
    const response = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(`the exporter of Temporal's SDK answered ${response.status}`);
    return response.text();
  };
}

/**
 * Makes Temporal's runtime speak through our log and leave signals to us. Only the first call of a process counts. The
 * core has an exporter of its own, which listens on loopback and is read by ours, so that one scrape has all.
 */
export async function installTemporalRuntime(log: Logger, { port }: Config['metrics']): Promise<void> {
  const bindAddress = port === null ? null : `127.0.0.1:${await freeLoopbackPort()}`;
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'debug', WARN: 'warn', ERROR: 'error' } as const;
  try {
    Runtime.install({
      shutdownSignals: [],
      logger: new DefaultLogger('INFO', (entry) => log[levels[entry.level]]({ ...entry.meta }, entry.message)),
      telemetryOptions: {
        logging: { filter: { core: 'WARN', other: 'WARN' }, forward: {} },
        ...(bindAddress === null ? {} : { metrics: { prometheus: { bindAddress, ...exporterNames } } }),
      },
    });
    exporterAddress = bindAddress;
  } catch {
    // The runtime is there already: another part of this process, such as a test, has made it.
  }
}
