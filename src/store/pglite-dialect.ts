import type { CompiledQuery, DatabaseConnection, Dialect, Driver, QueryResult } from 'kysely';
import { PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import type { PoolState } from '../metrics/index.ts';
import { WindlassError } from '../model/index.ts';
import type { PGliteSession } from './pglite-session.ts';

/** Marks databases that have one connection, so that transactions never run beside each other. */
export class SingleConnectionAdapter extends PostgresAdapter {}

const longestWaitMs = 60_000;

/** Hands the one connection to one holder after the other, in the order they asked. */
export interface Mutex {
  acquire(): Promise<void>;
  release(): void;
  /** As of a pool of one. */
  state(): PoolState;
  /** Waits for its turn and lets nobody have one afterwards. */
  close(): Promise<void>;
}

export function makeMutex(waitMs = longestWaitMs): Mutex {
  const waiting: { readonly start: () => void }[] = [];
  let taken = false;
  let closed = false;
  const mutex: Mutex = {
    acquire() {
      if (closed) return Promise.reject(new WindlassError('unavailable', 'the embedded database is closed'));
      if (!taken) {
        taken = true;
        return Promise.resolve();
      }
      return new Promise((resolve, reject) => {
        const entry = {
          start: () => {
            clearTimeout(timer);
            resolve();
          },
        };
        const timer = setTimeout(() => {
          waiting.splice(waiting.indexOf(entry), 1);
          reject(
            new WindlassError('unavailable', `the embedded database was busy for ${waitMs / 1000} s`, {
              hint: 'a transaction that uses the database beside its own handle waits for itself: use the handle it was given',
            }),
          );
        }, waitMs);
        timer.unref();
        waiting.push(entry);
      });
    },
    release() {
      const next = waiting.shift();
      if (next) next.start();
      else taken = false;
    },
    state: () => ({ total: 1, idle: taken ? 0 : 1, waiting: waiting.length }),
    async close() {
      const last = mutex.acquire();
      closed = true;
      await last;
    },
  };
  return mutex;
}

class PGliteConnection implements DatabaseConnection {
  readonly #session: PGliteSession;
  readonly #onStatement: () => void;

  constructor(session: PGliteSession, onStatement: () => void) {
    this.#session = session;
    this.#onStatement = onStatement;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    this.#onStatement();
    return this.#session.execute<R>(query.sql, query.parameters);
  }

  // eslint-disable-next-line require-yield
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new WindlassError('internal', 'the embedded database does not stream rows');
  }
}

export interface PGliteDialectOptions {
  readonly session: PGliteSession;
  readonly mutex: Mutex;
  /** Called before every statement. */
  readonly onStatement: () => void;
}

/** Kysely on PGlite: one session, shared in turns. */
export function pgliteDialect({ session, mutex, onStatement }: PGliteDialectOptions): Dialect {
  const connection = new PGliteConnection(session, onStatement);
  const driver: Driver = {
    init: () => Promise.resolve(),
    async acquireConnection() {
      await mutex.acquire();
      return connection;
    },
    async beginTransaction(_connection, settings) {
      const level = settings.isolationLevel ? ` isolation level ${settings.isolationLevel}` : '';
      const access = settings.accessMode ? ` ${settings.accessMode}` : '';
      await session.script(`begin${level}${access}`);
    },
    commitTransaction: () => session.script('commit'),
    rollbackTransaction: () => session.script('rollback'),
    releaseConnection() {
      mutex.release();
      return Promise.resolve();
    },
    destroy: () => Promise.resolve(),
  };
  return {
    createDriver: () => driver,
    createQueryCompiler: () => new PostgresQueryCompiler(),
    createAdapter: () => new SingleConnectionAdapter(),
    createIntrospector: (db) => new PostgresIntrospector(db),
  };
}
