import { withPort } from '../config.ts';
import type { Config } from '../config.ts';
import { openEncryptionKeys } from '../key-file.ts';
import { WindlassError, messageOf } from '../model/index.ts';
import { prepareDataDirectory } from './data-directory.ts';
import { lockInstance } from './instance-lock.ts';
import { choosePort, isPortFree } from './ports.ts';
import { startTemporalServer } from './temporal-server.ts';
import { reportWhile, reporter } from '../provision/index.ts';
import type { OnToolProgress, ToolLocator } from '../provision/index.ts';
import { programsAtStart } from '../tools/index.ts';
import { createToolLocator } from './tool-locator.ts';

/** What the application gets from its surroundings. */
export interface AppParts {
  /** `host:port` of Temporal, whoever runs it. */
  readonly temporalAddress: string;
  /** Temporal Web UI; null when unknown. */
  readonly temporalUiUrl: string | null;
  readonly tools: ToolLocator;
}

export interface RunningApp {
  readonly url: string;
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  readonly config: Config;
  readonly onProgress?: OnToolProgress | undefined;
  /** What happened later on, such as a Temporal that had to be started again. For the log. */
  readonly onEvent?: ((message: string) => void) | undefined;
  /** Migrates the database and starts API and worker. */
  readonly startApp: (config: Config, parts: AppParts) => Promise<RunningApp>;
}

export interface EmbeddedServer {
  readonly url: string;
  /** Temporal Web UI; null when unknown. */
  readonly temporalUrl: string | null;
  readonly temporalAddress: string;
  /** May be called more than once. */
  stop(): Promise<void>;
}

type Undo = () => Promise<void> | void;

/** Undoes what has been started, latest first, and goes on when one step fails. */
async function undoAll(steps: Undo[]): Promise<void> {
  const failures: unknown[] = [];
  for (let step = steps.pop(); step; step = steps.pop()) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/**
 * Starts everything Windlass needs in this process and below it. Throws one error that says what to do when something
 * is in the way; whatever had been started until then is stopped.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const undo: Undo[] = [];
  try {
    const { dataDirectory } = options.config;
    await prepareDataDirectory(dataDirectory, options.onEvent);
    const instance = lockInstance(dataDirectory);
    undo.push(() => instance.release());
    // Before the database is made: a key that is missing beside a database is an error, not a first start.
    openEncryptionKeys(options.config);

    const config = await chooseHttpPort(options.config);
    const tools = createToolLocator(config, options.onProgress);
    const [program] = await Promise.all([
      config.temporal.address === null ? tools.find('temporal') : null,
      ...programsAtStart().map((program) => tools.find(program)),
    ]);
    const temporal = await showing('Temporal server', options.onProgress, () =>
      provideTemporal({ config, program, onEvent: options.onEvent }),
    );
    undo.push(() => temporal.stop());

    const parts = { temporalAddress: temporal.address, temporalUiUrl: temporal.url, tools };
    const app = await showing('Windlass', options.onProgress, () => options.startApp(config, parts));
    undo.push(() => app.stop());
    instance.announce({ url: app.url, temporalUrl: temporal.url });

    let stopped: Promise<void> | undefined;
    return {
      url: app.url,
      temporalUrl: temporal.url,
      temporalAddress: temporal.address,
      stop: () => (stopped ??= undoAll(undo)),
    };
  } catch (error) {
    await undoAll(undo).catch(() => undefined);
    throw error;
  }
}

interface Started {
  readonly url: string | null;
}

async function showing<T extends Started>(
  name: string,
  onProgress: OnToolProgress | undefined,
  start: () => Promise<T>,
): Promise<T> {
  const report = reporter(name, undefined, onProgress ?? (() => undefined));
  const started = await reportWhile(() => report('starting', ''), start());
  report('ready', started.url ?? 'runs elsewhere');
  return started;
}

/** The usual port may be taken by another program; one that was asked for by name may not be replaced silently. */
async function chooseHttpPort(config: Config): Promise<Config> {
  const { host, port, portIsFixed } = config.http;
  if (port === 0) return withPort(config, await choosePort(host, []));
  let free: boolean;
  try {
    free = await isPortFree(host, port);
  } catch (error) {
    throw new WindlassError('invalidInput', `cannot listen on ${host}: ${messageOf(error)}`, {
      hint: 'set WINDLASS_HOST to an address of this machine, such as 127.0.0.1',
    });
  }
  if (free) return config;
  if (portIsFixed) {
    throw new WindlassError('conflict', `port ${port} on ${host} is used by another program`, {
      hint: 'end that program, or set WINDLASS_PORT to another port (0 takes any free one)',
    });
  }
  return withPort(
    config,
    await choosePort(
      host,
      Array.from({ length: 10 }, (_, i) => port + 1 + i),
    ),
  );
}

interface ProvidedTemporal {
  readonly address: string;
  /** Web UI; null when unknown. */
  readonly url: string | null;
  stop(): Promise<void>;
}

interface TemporalChoice {
  readonly config: Config;
  /** The Temporal CLI; null when a server runs elsewhere. */
  readonly program: string | null;
  readonly onEvent: EmbeddedOptions['onEvent'];
}

async function provideTemporal({ config, program, onEvent }: TemporalChoice): Promise<ProvidedTemporal> {
  const { address, uiUrl, namespace } = config.temporal;
  if (address !== null) return { address, url: uiUrl, stop: () => Promise.resolve() };
  if (program === null) throw new WindlassError('internal', 'neither a Temporal server nor the program for one');
  const { dataDirectory } = config;
  const server = await startTemporalServer({ program, dataDirectory, namespace, onEvent });
  return { address: server.address, url: uiUrl ?? server.uiUrl, stop: () => server.stop() };
}
