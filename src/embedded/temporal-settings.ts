import { searchAttributes } from '../model/index.ts';

/**
 * The development server has one shard whose queues are read at most 20 times a second by default, which puts every
 * step of a workflow on a grid of 50 ms. temporal/dynamic-config.yaml holds the same for a real cluster.
 */
export const dynamicConfig: Readonly<Record<string, number>> = {
  'history.transferProcessorMaxPollRPS': 2000,
  'history.timerProcessorMaxPollRPS': 2000,
  'history.visibilityProcessorMaxPollRPS': 2000,
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
};

/** Write-ahead log: four times the speed, and a killed process still loses nothing. */
export const sqlitePragmas: Readonly<Record<string, string>> = { journal_mode: 'wal', synchronous: 'normal' };

/** Closed runs stay visible in the Temporal Web UI this long. */
export const retentionDays = 90;

export interface DevServerOptions {
  readonly port: number;
  readonly uiPort: number;
  readonly namespace: string;
  readonly databaseFile: string;
  /** A namespace that only this server has, so that it can be told from another one on the same port. */
  readonly marker: string;
}

export function devServerArguments(options: DevServerOptions): string[] {
  const { port, uiPort, namespace, databaseFile, marker } = options;
  // prettier-ignore
  const args = ['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--ui-port', String(uiPort),
    '--db-filename', databaseFile, '--log-level', 'warn', '--ui-disable-news-fetch'];
  args.push('--namespace', marker);
  if (namespace !== 'default') args.push('--namespace', namespace);
  for (const [key, value] of Object.entries(sqlitePragmas)) args.push('--sqlite-pragma', `${key}=${value}`);
  for (const [key, value] of Object.entries(dynamicConfig)) args.push('--dynamic-config-value', `${key}=${value}`);
  for (const name of Object.values(searchAttributes)) args.push('--search-attribute', `${name}=Keyword`);
  return args;
}
