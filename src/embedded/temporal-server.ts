import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, readSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Connection } from '@temporalio/client';
import { z } from 'zod';
import { identify, livenessOf, placedProcessSchema } from '../host/index.ts';
import { WindlassError, messageOf } from '../model/index.ts';
import { startGuarded } from './guarded-process.ts';
import type { GuardedProcess } from './guarded-process.ts';
import { choosePort, isPortFree } from './ports.ts';
import { devServerArguments, retentionDays } from './temporal-settings.ts';

const preferredPort = 7233;
const preferredUiPort = 8233;
const readyWithinMs = 90_000;
const largestLogBytes = 20e6;
const restartDelaysMs = [100, 500, 1_000, 2_000, 5_000];

export interface TemporalServerOptions {
  /** The Temporal CLI. */
  readonly program: string;
  /** Of Windlass; the server's files go into `temporal/` in it. */
  readonly dataDirectory: string;
  readonly namespace: string;
  /** What happened later on: it ended, it is back. For the log. */
  readonly onEvent?: ((message: string) => void) | undefined;
}

export interface TemporalServer {
  /** `host:port`. It stays the same when the server had to be started again. */
  readonly address: string;
  readonly uiUrl: string;
  /** Of the server that runs now. */
  pid(): number;
  stop(): Promise<void>;
}

const recordSchema = placedProcessSchema.extend({ port: z.number().int(), uiPort: z.number().int() });
type ServerRecord = z.infer<typeof recordSchema>;

interface Files {
  readonly database: string;
  readonly log: string;
  readonly record: string;
}

interface Ports {
  readonly port: number;
  readonly uiPort: number;
}

/**
 * Starts Temporal's development server on a file in the data directory and waits until it answers. It is started again
 * when it ends by itself, and it ends with this process, however that ends.
 * Throws with the end of the server's log when it does not come up.
 */
export async function startTemporalServer(options: TemporalServerOptions): Promise<TemporalServer> {
  const directory = join(options.dataDirectory, 'temporal');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const files: Files = {
    database: join(directory, 'temporal.db'),
    log: join(directory, 'server.log'),
    record: join(directory, 'process.json'),
  };
  refuseForeignDatabase(files.database);
  const last = readRecord(files.record);
  if (last) await endLeftover(last, options.onEvent);

  let running = await startOnFreePorts(options, files, last);
  const { ports } = running;
  let stopping = false;

  async function superviseUntilStopped(): Promise<void> {
    for (let failures = 0; ;) {
      const code = await running.process.ended;
      if (stopping) return;
      options.onEvent?.(`Temporal ended by itself (${endOf(code)}); starting it again`);
      await delay(restartDelaysMs[Math.min(failures, restartDelaysMs.length - 1)]);
      if (stopping) return;
      try {
        running = await startOnce(options, files, ports);
        options.onEvent?.('Temporal is back');
        failures = 0;
      } catch (error) {
        failures++;
        options.onEvent?.(messageOf(error));
      }
    }
  }
  const supervision = superviseUntilStopped();

  return {
    address: `127.0.0.1:${ports.port}`,
    uiUrl: `http://127.0.0.1:${ports.uiPort}`,
    pid: () => running.process.pid,
    async stop() {
      stopping = true;
      await running.process.stop();
      await supervision;
      // A restart may have been under way while the first call to stop was waited for.
      await running.process.stop();
    },
  };
}

interface Running {
  readonly process: GuardedProcess;
  readonly ports: Ports;
}

/** Between asking for a port and using it another program may take it; then others are chosen. */
async function startOnFreePorts(
  options: TemporalServerOptions,
  files: Files,
  last: ServerRecord | null,
): Promise<Running> {
  for (let tries = 1; ; tries++) {
    const ports = await choosePorts(last);
    try {
      return await startOnce(options, files, ports);
    } catch (error) {
      const taken = !(await isPortFree('127.0.0.1', ports.port)) || !(await isPortFree('127.0.0.1', ports.uiPort));
      if (!taken || tries === 3) throw error;
    }
  }
}

/** The ports of last time first, so that links to the Temporal Web UI go on working. */
async function choosePorts(last: ServerRecord | null): Promise<Ports> {
  const port = await choosePort('127.0.0.1', last ? [last.port, preferredPort] : [preferredPort]);
  for (;;) {
    const uiPort = await choosePort('127.0.0.1', last ? [last.uiPort, preferredUiPort] : [preferredUiPort]);
    if (uiPort !== port) return { port, uiPort };
  }
}

async function startOnce(options: TemporalServerOptions, files: Files, ports: Ports): Promise<Running> {
  const marker = `windlass-${createHash('sha256').update(files.database).digest('hex').slice(0, 12)}`;
  const logStart = rotateLog(files.log);
  const logDescriptor = openSync(files.log, 'a', 0o600);
  let server: GuardedProcess;
  try {
    server = await startGuarded({
      command: options.program,
      args: devServerArguments({ ...ports, namespace: options.namespace, databaseFile: files.database, marker }),
      environment: { ...process.env, TEMPORAL_ADDRESS: undefined, TEMPORAL_NAMESPACE: undefined },
      logDescriptor,
    });
  } finally {
    closeSync(logDescriptor);
  }
  const identity = identify(server.pid);
  if (identity) writeRecord(files.record, { ...identity, ...ports });
  try {
    await untilReady(server, { address: `127.0.0.1:${ports.port}`, namespace: options.namespace, marker });
    return { process: server, ports };
  } catch (error) {
    await server.stop();
    throw explainFailure(messageOf(error), files, logStart);
  }
}

interface Asked {
  readonly address: string;
  readonly namespace: string;
  readonly marker: string;
}

/** Ready means that the namespace can be read, not only that the port is open. */
async function untilReady(server: GuardedProcess, asked: Asked): Promise<void> {
  let ended: number | undefined;
  void server.ended.then((code) => (ended = code));
  const deadlineMs = performance.now() + readyWithinMs;
  for (;;) {
    if (ended !== undefined) throw new Error(`it ended while starting (${endOf(ended)})`);
    const answer = await askOnce(asked);
    if (answer === null) return;
    if (performance.now() > deadlineMs)
      throw new Error(`it did not answer within ${readyWithinMs / 1000} s: ${answer}`);
    await delay(100);
  }
}

/** null when it is ready, otherwise why it is not. */
async function askOnce({ address, namespace, marker }: Asked): Promise<string | null> {
  // Loaded here, because most commands only ask this room whether a server runs.
  const [client, { msToTs }] = await Promise.all([
    import('@temporalio/client'),
    import('@temporalio/common/lib/time.js'),
  ]);
  let connection: Connection | undefined;
  try {
    connection = await client.Connection.connect({ address, connectTimeout: 2_000 });
    const service = connection.workflowService;
    // Another program's Temporal may have been faster on this port, and would answer for the usual namespace as well.
    await connection.withDeadline(Date.now() + 5_000, () => service.describeNamespace({ namespace: marker }));
    const answer = await connection.withDeadline(Date.now() + 5_000, () => service.describeNamespace({ namespace }));
    const retention = msToTs(retentionDays * 86_400_000);
    if (!answer.config?.workflowExecutionRetentionTtl?.seconds?.equals(retention.seconds ?? 0)) {
      await service.updateNamespace({ namespace, config: { workflowExecutionRetentionTtl: retention } });
    }
    return null;
  } catch (error) {
    return messageOf(error);
  } finally {
    await connection?.close();
  }
}

function endOf(code: number): string {
  return code > 128 ? `signal ${code - 128}` : `exit code ${code}`;
}

function readRecord(file: string): ServerRecord | null {
  try {
    return recordSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return null;
  }
}

function writeRecord(file: string, record: ServerRecord): void {
  writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/**
 * A server whose Windlass was killed is on its way out already; it must be gone before the next one opens its file.
 * The caller holds the data directory, so nobody else can be using it.
 */
async function endLeftover(last: ServerRecord, onEvent: TemporalServerOptions['onEvent']): Promise<void> {
  for (let waitedMs = 0; livenessOf(last) === 'alive'; waitedMs += 100) {
    if (waitedMs === 0) onEvent?.(`ending Temporal of a Windlass that was killed (process ${last.pid})`);
    try {
      if (waitedMs === 0) process.kill(last.pid, 'SIGTERM');
      if (waitedMs === 10_000) process.kill(last.pid, 'SIGKILL');
    } catch {
      return;
    }
    await delay(100);
  }
}

/** Answers where the log of this start begins. */
function rotateLog(file: string): number {
  try {
    const { size } = statSync(file);
    if (size < largestLogBytes) return size;
    renameSync(file, `${file}.1`);
  } catch {
    // There is none yet.
  }
  return 0;
}

const sqliteMagic = 'SQLite format 3\0';

function damagedDatabase(file: string): WindlassError {
  return new WindlassError('internal', `Temporal's database ${file} is damaged`, {
    hint: `restore the data directory from a backup, or move ${file} away: environments and states stay, runs in progress are lost`,
  });
}

function refuseForeignDatabase(file: string): void {
  const head = Buffer.alloc(sqliteMagic.length);
  let length: number;
  try {
    const descriptor = openSync(file, 'r');
    length = readSync(descriptor, head);
    closeSync(descriptor);
  } catch {
    return; // It will be made.
  }
  if (length > 0 && head.toString('latin1', 0, length) !== sqliteMagic) throw damagedDatabase(file);
}

function explainFailure(reason: string, files: Files, logStart: number): WindlassError {
  const log = readFileSync(files.log).toString('utf8', logStart);
  if (/malformed|not a database|disk I\/O error/i.test(log)) return damagedDatabase(files.database);
  if (/database is locked|SQLITE_BUSY/i.test(log)) {
    return new WindlassError('conflict', `Temporal's database ${files.database} is in use by another process`, {
      hint: `end it (fuser ${files.database} names it) and start again`,
    });
  }
  if (/no space left|database or disk is full/i.test(log)) {
    return new WindlassError('unavailable', `the disk of ${files.database} is full`, { hint: 'free some space' });
  }
  const tail = log.trimEnd().split('\n').slice(-15).join('\n');
  return new WindlassError('unavailable', `Temporal did not start: ${reason}\n${tail}`, {
    hint: `the whole log is in ${files.log}; to use another server set TEMPORAL_ADDRESS`,
  });
}
