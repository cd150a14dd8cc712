import { mkdirSync } from 'node:fs';
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

/** Makes Temporal's runtime speak through our log and leave signals to us. Only the first call of a process counts. */
export function installTemporalRuntime(log: Logger): void {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'debug', WARN: 'warn', ERROR: 'error' } as const;
  try {
    Runtime.install({
      shutdownSignals: [],
      logger: new DefaultLogger('INFO', (entry) => log[levels[entry.level]]({ ...entry.meta }, entry.message)),
      telemetryOptions: { logging: { filter: { core: 'WARN', other: 'WARN' }, forward: {} } },
    });
  } catch {
    // The runtime is there already: another part of this process, such as a test, has made it.
  }
}
