import { Kysely, PostgresDialect, sql } from 'kysely';
import type { Transaction } from 'kysely';
import { Pool } from 'pg';
import { WindlassError } from '../model/index.ts';
import type { PoolState } from '../metrics/index.ts';
import { withCommitWork } from './after-commit.ts';
import { errorMapping } from './error-mapping-dialect.ts';
import { columnParser } from './column-types.ts';
import { ensureDefaults } from './defaults.ts';
import { migrate } from './migrate.ts';
import { makeMaintenance } from './pglite-maintenance.ts';
import { openPGlite } from './pglite-database.ts';
import { makeMutex, pgliteDialect } from './pglite-dialect.ts';
import { PGliteSession } from './pglite-session.ts';
import { listenOnPostgres } from './postgres-listener.ts';
import { singleProcessPresence, postgresPresence } from './presence.ts';
import type { Presence } from './presence.ts';
import type { Schema } from './schema.ts';

/** What queries run on: the database, or one of its transactions. */
export type Db = Kysely<Schema>;

export interface Database {
  readonly kind: DatabaseOptions['kind'];
  readonly sql: Db;
  /** Commits when `fn` resolves, rolls back when it throws. Inside, only the handle it is given may be used. */
  transaction<T>(fn: (tx: Transaction<Schema>) => Promise<T>): Promise<T>;
  /**
   * Calls back for every NOTIFY of a channel; answers how to stop. An empty payload says that some may have been
   * missed while the connection was lost. Throws `unavailable` when there is no connection to begin with.
   */
  listen(channel: string, onPayload: (payload: string) => void): Promise<() => Promise<void>>;
  /** Shows this process to others on the same database. */
  readonly presence: Presence;
  /** How busy its connections are. */
  pool(): PoolState;
  /** Throws `unavailable` with the reason when the database does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export type DatabaseOptions =
  /** null keeps it in memory. */
  | {
      readonly kind: 'pglite';
      readonly directory: string | null;
      /** Opens it although pages are damaged, to save what can be read. */
      readonly ignoreDamage?: boolean | undefined;
    }
  /** `poolSize` counts connections, 10 when absent; one more is used for `listen`, and one for `presence`. */
  | { readonly kind: 'postgres'; readonly url: string; readonly poolSize?: number };

/** Opens a database as it is, also an empty one. For copying into it; everything else takes `openDatabase`. */
export async function openBareDatabase(options: DatabaseOptions): Promise<Database> {
  return options.kind === 'pglite' ? openEmbedded(options) : openServer(options.url, options.poolSize ?? 10);
}

/** Opens a database and brings its tables up to date. Throws `unavailable` or `conflict` with the reason. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const database = await openBareDatabase(options);
  try {
    await migrate(database.sql);
    await ensureDefaults(database.sql);
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

function checkChannel(channel: string): void {
  if (!/^[a-z_][a-z0-9_]*$/.test(channel))
    throw new WindlassError('internal', `"${channel}" cannot be the name of a channel`);
}

/** A transaction that never ends must not keep the process from ending. */
const longestCloseMs = 10_000;

async function atMost(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function openServer(url: string, poolSize: number): Database {
  const pool = new Pool({
    connectionString: url,
    max: poolSize,
    application_name: 'windlass',
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    // Bounds what a stuck statement or a forgotten transaction can hold up.
    statement_timeout: 60_000,
    idle_in_transaction_session_timeout: 60_000,
    types: { getTypeParser: columnParser },
  });
  // A lost connection is no event: the next query on it fails, and the pool opens another. Idle ones report to the pool,
  // those inside a transaction only to themselves.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  const db = new Kysely<Schema>({ dialect: errorMapping(new PostgresDialect({ pool })) });
  const listener = listenOnPostgres(url);
  const presence = postgresPresence(url);
  let closing: Promise<void> | undefined;
  return {
    kind: 'postgres',
    sql: db,
    transaction: (fn) => withCommitWork(() => db.transaction().execute(fn)),
    async listen(channel, onPayload) {
      checkChannel(channel);
      return listener.listen(channel, onPayload);
    },
    presence,
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    async ping() {
      await sql`SELECT 1`.execute(db);
    },
    close() {
      // Not `db.destroy()`, after which queries would fail with an error of Kysely's own.
      closing ??= Promise.all([listener.close(), presence.close(), atMost(longestCloseMs, pool.end())]).then(
        () => undefined,
      );
      return closing;
    },
  };
}

async function openEmbedded({
  directory,
  ignoreDamage,
}: Extract<DatabaseOptions, { kind: 'pglite' }>): Promise<Database> {
  const { pg, release } = await openPGlite(directory, { ignoreDamage });
  const session = new PGliteSession(pg);
  const mutex = makeMutex();
  const maintenance = makeMaintenance({ session, mutex });
  const db = new Kysely<Schema>({
    dialect: errorMapping(pgliteDialect({ session, mutex, onStatement: maintenance.count })),
  });
  const listening = new Map<string, number>();

  /** LISTEN belongs to the session and would be undone with somebody else's transaction. */
  async function withMutex(statement: string): Promise<void> {
    await mutex.acquire();
    try {
      await session.script(statement);
    } finally {
      mutex.release();
    }
  }

  let closing: Promise<void> | undefined;
  return {
    kind: 'pglite',
    sql: db,
    transaction: (fn) => withCommitWork(() => db.transaction().execute(fn)),
    async listen(channel, onPayload) {
      checkChannel(channel);
      const stop = pg.onNotification((from, payload) => {
        if (from === channel) onPayload(payload);
      });
      listening.set(channel, (listening.get(channel) ?? 0) + 1);
      await withMutex(`LISTEN ${channel}`);
      let stopped = false;
      return async () => {
        if (stopped) return;
        stopped = true;
        stop();
        const left = (listening.get(channel) ?? 1) - 1;
        listening.set(channel, left);
        if (left === 0 && !pg.closed) await withMutex(`UNLISTEN ${channel}`);
      };
    },
    presence: singleProcessPresence(),
    pool: () => mutex.state(),
    async ping() {
      await sql`SELECT 1`.execute(db);
    },
    close() {
      closing ??= (async () => {
        maintenance.stop();
        await mutex.close();
        await pg.close();
        release();
      })();
      return closing;
    },
  };
}
