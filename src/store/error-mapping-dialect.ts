import type { CompiledQuery, DatabaseConnection, Dialect, Driver, QueryResult, TransactionSettings } from 'kysely';
import { WindlassError } from '../model/index.ts';
import { toStoreError } from './unavailable.ts';

class ErrorMappingConnection implements DatabaseConnection {
  readonly inner: DatabaseConnection;
  /** A statement of the open transaction has failed. */
  failed = false;

  constructor(inner: DatabaseConnection) {
    this.inner = inner;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    try {
      return await this.inner.executeQuery<R>(query);
    } catch (error) {
      this.failed = true;
      throw toStoreError(error);
    }
  }

  async *streamQuery<R>(query: CompiledQuery, chunkSize?: number): AsyncIterableIterator<QueryResult<R>> {
    yield* this.inner.streamQuery<R>(query, chunkSize);
  }
}

class ErrorMappingDriver implements Driver {
  readonly #inner: Driver;

  constructor(inner: Driver) {
    this.#inner = inner;
  }

  async init(): Promise<void> {
    await this.#inner.init();
  }

  async acquireConnection(): Promise<ErrorMappingConnection> {
    try {
      return new ErrorMappingConnection(await this.#inner.acquireConnection());
    } catch (error) {
      throw toStoreError(error);
    }
  }

  async beginTransaction(connection: ErrorMappingConnection, settings: TransactionSettings): Promise<void> {
    connection.failed = false;
    await this.#inner.beginTransaction(connection, settings);
  }

  async commitTransaction(connection: ErrorMappingConnection): Promise<void> {
    // PostgreSQL answers such a COMMIT by rolling back, without an error: what was written would be gone unseen.
    if (connection.failed)
      throw new WindlassError('internal', 'a statement of this transaction failed before its commit');
    await this.#inner.commitTransaction(connection);
  }

  async rollbackTransaction(connection: ErrorMappingConnection): Promise<void> {
    try {
      await this.#inner.rollbackTransaction(connection);
    } catch {
      // The server rolls back what a lost connection has begun; the error that led here says more than this one.
    }
    connection.failed = false;
  }

  async releaseConnection(connection: ErrorMappingConnection): Promise<void> {
    await this.#inner.releaseConnection(connection.inner);
  }

  async destroy(): Promise<void> {
    await this.#inner.destroy();
  }
}

/** Another dialect whose errors are those of this room, and whose failed transactions never look committed. */
export function errorMapping(dialect: Dialect): Dialect {
  return {
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver: () => new ErrorMappingDriver(dialect.createDriver()),
  };
}
