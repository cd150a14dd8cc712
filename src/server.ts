import type { Logger } from 'pino';
import { provideAdministratorKey } from './access/index.ts';
import type { Config } from './config.ts';
import { createToolLocator, startEmbedded } from './embedded/index.ts';
import type { RunningApp } from './embedded/index.ts';
import { createLogger, installTemporalRuntime } from './log.ts';
import { WindlassError } from './model/index.ts';
import type { Isolation } from './process/index.ts';
import type { OnToolProgress } from './provision/index.ts';
import type { Rooms } from './rooms.ts';
import { startProcess } from './server-process.ts';

/** What a started server tells its caller. */
export interface RunningWindlass {
  readonly url: string;
  /** The administrator's key of the data directory; null when the database has one that is kept elsewhere. */
  readonly token: string | null;
  readonly temporalUrl: string | null;
  /** `host:port`. */
  readonly temporalAddress: string;
  stop(): Promise<void>;
}

export interface StartOptions {
  /** Make an administrator's key although the database has one: the last way in when it was lost. */
  readonly newAdministratorKey?: boolean | undefined;
}

/** Everything in this process and below it: database, Temporal, API and worker. */
export async function startWindlass(
  config: Config,
  onProgress?: OnToolProgress,
  options: StartOptions = {},
): Promise<RunningWindlass> {
  const log = createLogger(config);
  await installTemporalRuntime(log, config.metrics);
  let token: string | null = null;
  const embedded = await startEmbedded({
    config,
    onProgress,
    onEvent: (message) => log.warn(message),
    startApp: async (chosen, parts) => {
      const onIsolation = ({ way, note }: Isolation): void =>
        onProgress?.({ tool: 'sandbox of stacks', phase: 'ready', elapsedMs: 0, detail: note ?? way });
      const app = await startProcess(chosen, { ...parts, api: true, worker: true, onIsolation }, log);
      token = await keyOfOwner(app.rooms, config, log, options);
      return app;
    },
  });
  return {
    url: embedded.url,
    token,
    temporalUrl: embedded.temporalUrl,
    temporalAddress: embedded.temporalAddress,
    stop: () => embedded.stop(),
  };
}

/** `windlass server`: the API, on a database and a Temporal that run elsewhere. */
export async function runServer(config: Config, options: StartOptions = {}): Promise<RunningApp> {
  return startAlone(config, { api: true, worker: false }, options);
}

/** `windlass worker`: workflows and tools, as many processes as wanted. */
export async function runWorker(config: Config): Promise<RunningApp> {
  return startAlone(config, { api: false, worker: true });
}

async function startAlone(
  config: Config,
  what: { api: boolean; worker: boolean },
  options: StartOptions = {},
): Promise<RunningApp> {
  const log = createLogger(config);
  await installTemporalRuntime(log, config.metrics);
  const { address, uiUrl } = config.temporal;
  if (address === null)
    throw new WindlassError('invalidInput', 'TEMPORAL_ADDRESS is missing', {
      hint: 'set it to host:port of your Temporal server',
    });
  const tools = createToolLocator(config);
  const app = await startProcess(config, { temporalAddress: address, temporalUiUrl: uiUrl, tools, ...what }, log);
  if (what.api) await keyOfOwner(app.rooms, config, log, options);
  return app;
}

/** Says where the administrator's key is, never what it is: logs are read by many and kept for long. */
async function keyOfOwner(
  { db }: Rooms,
  { dataDirectory }: Config,
  log: Logger,
  { newAdministratorKey }: StartOptions,
): Promise<string | null> {
  const { token, created, file } = await provideAdministratorKey(db, { dataDirectory, anew: newAdministratorKey });
  if (created) log.info({ file }, 'an administrator key was made and stored in a file that its owner alone can read');
  else if (token === null)
    log.info(
      { file },
      'the database has an administrator key, which is not in this data directory; none was made (--new-administrator-key makes one)',
    );
  return token;
}
