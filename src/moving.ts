import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { Connection } from '@temporalio/client';
import { audit, confirmKeys, createSecretBox, keyIdOf, systemPrincipal } from './access/index.ts';
import { openTarget, readBackup, recordArrival, restoreRecords, writeBackup } from './backup/index.ts';
import type { Config } from './config.ts';
import { openEncryptionKeys } from './key-file.ts';
import { findRunning } from './embedded/index.ts';
import { messageOf, searchAttributes, WindlassError } from './model/index.ts';
import {
  inSnapshot,
  copyRecords,
  listLocalSources,
  listOpenRuns,
  migrate,
  openBareDatabase,
  openDatabase,
  readInstallation,
  writeInstallation,
} from './store/index.ts';
import type { CopyProgress, Database } from './store/index.ts';
import type { TemporalConnectionOptions } from './temporal-connection.ts';

/** A name for what is kept, such as `20260131T101500`. */
const stamp = (): string => new Date().toISOString().replace(/[-:]|\..*/g, '');

function requireStopped({ dataDirectory }: Config, what: string): void {
  const running = findRunning(dataDirectory);
  if (running)
    throw new WindlassError('conflict', `Windlass runs on ${dataDirectory} (process ${running.pid})`, {
      hint: `stop it before ${what}: kill ${running.pid}`,
    });
}

/** Of a database that no server of this machine has open: the embedded one while it is stopped, or a PostgreSQL. */
export async function backupHere(
  config: Config,
  to: {
    readonly file: string;
    readonly passphrase: string;
    readonly version: string;
    readonly onProgress?: CopyProgress;
  },
): Promise<{ bytes: number; createdAt: string }> {
  const { database } = config;
  if (database.kind === 'pglite' && !existsSync(database.directory))
    throw new WindlassError('notFound', `there is no database in ${config.dataDirectory}`, {
      hint: 'name the data directory: --data DIRECTORY or WINDLASS_DATA',
    });
  const { keys, origin } = openEncryptionKeys(config);
  const db = await openDatabase(database);
  try {
    await confirmKeys(db.sql, createSecretBox(keys), origin);
    return await writeBackup({ db, keys, ...to });
  } finally {
    await db.close();
  }
}

export interface RestoreOptions {
  readonly file: string;
  readonly passphrase: string;
  /** Keeps what is there aside. */
  readonly force: boolean;
  readonly graceHours: number;
  /** Writes the keys of the backup into this new file. */
  readonly keyFile?: string | undefined;
  readonly onProgress?: CopyProgress | undefined;
}

export interface Restored {
  readonly createdAt: string;
  readonly windlass: string;
  /** Where what was there is kept; null when nothing was. */
  readonly keptIn: string | null;
  /** File with the encryption keys; null when they are in the environment. */
  readonly keyFile: string | null;
}

/** Puts a backup in the place of an empty installation. Nothing changes before the backup was read to its end. */
export async function restoreHere(config: Config, options: RestoreOptions): Promise<Restored> {
  requireStopped(config, 'restoring');
  const backup = await readBackup(options.file, options.passphrase);
  const kept = config.database.kind === 'pglite' ? setAsideExisting(config, options.force) : null;
  const keyFile = provideKeys(config, backup.keys, options.keyFile);
  const { db, keptIn } = await openTarget(config.database, { aside: options.force });
  try {
    await restoreRecords(db, backup, options);
    await confirmKeys(db.sql, createSecretBox(backup.keys), `${keyFile ?? 'the backup'} on ${hostname()}`);
  } finally {
    await db.close();
  }
  return {
    createdAt: backup.createdAt,
    windlass: backup.windlass,
    keptIn: kept ?? (keptIn === null ? null : `the schema ${keptIn} of the database`),
    keyFile,
  };
}

/** Of the embedded server: database, Temporal and key belong together. Its records are gone from Temporal's view, too. */
function setAsideExisting({ dataDirectory }: Config, force: boolean): string | null {
  const there = ['database', 'temporal', 'encryption.key', 'administrator.token'].filter((name) =>
    existsSync(join(dataDirectory, name)),
  );
  if (!there.includes('database') && !there.includes('temporal')) return null;
  if (!force)
    throw new WindlassError('conflict', `${dataDirectory} is not empty: it has ${there.join(', ')}`, {
      hint: 'name another data directory (--data DIRECTORY), or --force, which keeps what is there aside',
    });
  const aside = join(dataDirectory, `before-restore-${stamp()}`);
  mkdirSync(aside, { mode: 0o700 });
  for (const name of there) renameSync(join(dataDirectory, name), join(aside, name));
  return aside;
}

/** Sees that the keys of a backup are there at the next start. Answers the file that has them. */
function provideKeys(config: Config, keys: readonly Uint8Array[], named: string | undefined): string | null {
  const lines = (all: readonly Uint8Array[]): string =>
    all.map((key) => `${Buffer.from(key).toString('base64')}\n`).join('');
  if (named !== undefined) {
    writeFileSync(named, lines(keys), { mode: 0o600, flag: 'wx' });
    return named;
  }
  const source = config.encryptionKey;
  const there = source.kind === 'value' || existsSync(source.path) ? openEncryptionKeys(config).keys : [];
  const ids = new Set(there.map(keyIdOf));
  const file = source.kind === 'file' ? source.path : null;
  if (keys.every((key) => ids.has(keyIdOf(key)))) return file;
  if (source.kind === 'file' && source.create) {
    const own = new Set(keys.map(keyIdOf));
    mkdirSync(dirname(source.path), { recursive: true, mode: 0o700 });
    const draft = `${source.path}.${randomBytes(4).toString('hex')}`;
    writeFileSync(draft, lines([...keys, ...there.filter((key) => !own.has(keyIdOf(key)))]), {
      mode: 0o600,
      flag: 'wx',
    });
    renameSync(draft, source.path);
    return file;
  }
  throw new WindlassError('conflict', 'the backup has encryption keys that this process does not have', {
    hint: 'write them into a new file with --key-file FILE, and name that in WINDLASS_ENCRYPTION_KEY_FILE of every process',
  });
}

export interface MoveOptions {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly namespace: string;
  /** TLS and key of that Temporal. */
  readonly access?: TemporalConnectionOptions | undefined;
  readonly onProgress?: CopyProgress | undefined;
}

export interface Moved {
  readonly id: string;
  /** The new place, without a password. */
  readonly to: string;
  readonly keyFile: string | null;
  readonly temporalKeptIn: string | null;
  /** Environments whose source is a directory of this machine. */
  readonly localSources: readonly string[];
}

/** Throws one error that says what the new place lacks; registers Temporal's search attributes when they are missing. */
export async function checkDestination({
  databaseUrl,
  temporalAddress,
  namespace,
  access,
}: MoveOptions): Promise<void> {
  await checkDatabase(databaseUrl);
  let connection: Connection;
  try {
    connection = await Connection.connect({ ...access, address: temporalAddress, connectTimeout: '10 seconds' });
  } catch (cause) {
    throw new WindlassError('unavailable', `Temporal at ${temporalAddress} cannot be reached: ${messageOf(cause)}`, {
      hint: 'nothing was changed; check --temporal-address',
      cause,
    });
  }
  try {
    await connection.workflowService.describeNamespace({ namespace });
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    const missing = Object.values(searchAttributes).filter((name) => customAttributes?.[name] === undefined);
    const keyword = 2;
    if (missing.length > 0)
      await connection.operatorService.addSearchAttributes({
        namespace,
        searchAttributes: Object.fromEntries(missing.map((name) => [name, keyword])),
      });
  } catch (cause) {
    throw new WindlassError('unavailable', `Temporal at ${temporalAddress} cannot be used: ${messageOf(cause)}`, {
      hint: `nothing was changed; make the namespace "${namespace}" there first, see temporal/search-attributes.sh`,
      cause,
    });
  } finally {
    await connection.close();
  }
}

/** It is empty, or has what an earlier call has copied. */
async function checkDatabase(databaseUrl: string): Promise<void> {
  if ((await findArrivedMove(databaseUrl)) !== null) return;
  const { db } = await openTarget({ kind: 'postgres', url: databaseUrl }, { aside: false });
  await db.close();
}

const placeOf = ({ databaseUrl, temporalAddress, namespace }: MoveOptions): string => {
  const url = new URL(databaseUrl);
  return `${url.host}${url.pathname} with Temporal at ${temporalAddress} (${namespace})`;
};

/**
 * Moves the stopped embedded server: copies its records to PostgreSQL in one transaction, and marks this installation as
 * moved, so that it never again destroys or deploys what belongs to the new one. Cut off anywhere, it is called again: the
 * old one does not start meanwhile, and what was copied is not copied twice.
 */
export async function moveAway(config: Config, options: MoveOptions): Promise<Moved> {
  requireStopped(config, 'moving');
  await checkDestination(options);
  const from = await openSource(config);
  const to = placeOf(options);
  try {
    const begun = await readInstallation(from.sql, 'moved');
    if (begun?.done) throw new WindlassError('conflict', `it was moved to ${begun.to} at ${begun.at} already`);
    if (begun !== null && begun.to !== to)
      throw new WindlassError('conflict', `a move to ${begun.to} was begun and has not ended`, {
        hint: 'name that place again, or give it up with --cancel',
      });
    const hold = await readInstallation(from.sql, 'hold');
    const open = await listOpenRuns(from.sql, hold?.since ?? null);
    if (open.length > 0)
      throw openRunsError(open.map((run) => `#${run.number} of "${run.environment}" (${run.status})`));
    const id = begun?.id ?? randomUUID();
    const at = begun?.at ?? new Date().toISOString();
    await writeInstallation(from.sql, 'moved', { id, to, at, done: false });
    await copyTo(from, { ...options, id, at, asOf: at });
    await from.transaction(async (tx) => {
      await writeInstallation(tx, 'moved', { id, to, at, done: true });
      await writeInstallation(tx, 'hold', null);
      await audit(tx, {
        actor: systemPrincipal,
        action: 'installation.moved',
        targetType: 'installation',
        targetId: id,
        projectId: null,
        after: { to },
      });
    });
    const localSources = await listLocalSources(from.sql);
    return { id, to, localSources, keyFile: keyFileOf(config), temporalKeptIn: keepTemporal(config) };
  } catch (error) {
    // Nothing has left: the server may go on as before.
    if ((await readInstallation(from.sql, 'moved')) === null) await writeInstallation(from.sql, 'hold', null);
    throw error;
  } finally {
    await from.close();
  }
}

export function openRunsError(runs: readonly string[]): WindlassError {
  return new WindlassError(
    'conflict',
    `runs are open: ${runs.slice(0, 5).join(', ')}${runs.length > 5 ? ` and ${runs.length - 5} more` : ''}`,
    {
      hint: 'nothing was changed. Start the server and repeat with --wait, which lets them end and holds new ones back',
    },
  );
}

async function openSource(config: Config): Promise<Database> {
  const { database } = config;
  if (database.kind !== 'pglite' || !existsSync(database.directory))
    throw new WindlassError('notFound', `there is no embedded database in ${config.dataDirectory}`, {
      hint: 'name the data directory of the embedded server: --data DIRECTORY',
    });
  const { keys, origin } = openEncryptionKeys(config);
  const db = await openDatabase(database);
  try {
    await confirmKeys(db.sql, createSecretBox(keys), origin);
    return db;
  } catch (error) {
    await db.close();
    throw error;
  }
}

async function copyTo(
  from: Database,
  { databaseUrl, id, asOf, onProgress }: MoveOptions & { id: string; at: string; asOf: string },
): Promise<void> {
  const target = { kind: 'postgres', url: databaseUrl } as const;
  if ((await findArrivedMove(databaseUrl)) === id) return;
  const { db } = await openTarget(target, { aside: false });
  try {
    await migrate(db.sql);
    await inSnapshot(from.sql, (source) =>
      db.transaction(async (tx) => {
        await copyRecords(source, tx, onProgress);
        await recordArrival(tx, { how: 'move', asOf, graceHours: 0, id });
      }),
    );
  } finally {
    await db.close();
  }
}

/** The id of the move whose records are in a database; null when there are none. */
async function findArrivedMove(url: string): Promise<string | null> {
  const db = await openBareDatabase({ kind: 'postgres', url });
  try {
    return (await readInstallation(db.sql, 'arrived').catch(() => null))?.id ?? null;
  } finally {
    await db.close();
  }
}

/** Gives an unfinished move up. Refused when its records have arrived, since the new one may be at work. */
export async function cancelMove(config: Config, databaseUrl: string): Promise<void> {
  requireStopped(config, 'that');
  const db = await openSource(config);
  try {
    const begun = await readInstallation(db.sql, 'moved');
    if (begun === null) throw new WindlassError('conflict', 'no move was begun here');
    if (begun.done || (await findArrivedMove(databaseUrl)) === begun.id)
      throw new WindlassError('conflict', `the records have arrived at ${begun.to}`, {
        hint: 'run the same `windlass move` again to finish it',
      });
    await writeInstallation(db.sql, 'moved', null);
    await writeInstallation(db.sql, 'hold', null);
  } finally {
    await db.close();
  }
}

function keyFileOf({ encryptionKey }: Config): string | null {
  return encryptionKey.kind === 'file' ? encryptionKey.path : null;
}

/** The timers and schedules of the old Temporal must not come to life beside the new ones. */
function keepTemporal({ dataDirectory }: Config): string | null {
  const path = join(dataDirectory, 'temporal');
  if (!existsSync(path)) return null;
  const kept = `${path}.before-move-${stamp()}`;
  renameSync(path, kept);
  return kept;
}
