import type { PGlite } from '@electric-sql/pglite';
import { messages, protocol } from '@electric-sql/pglite';
import type { QueryResult } from 'kysely';
import { WindlassError } from '../model/index.ts';
import { columnParser } from './column-types.ts';

const { serialize } = protocol;

interface Column {
  readonly name: string;
  readonly parse: (text: string) => unknown;
}
interface Statement {
  readonly name: string;
  /** null until the first answer has described them. */
  columns: readonly Column[] | null;
}

/** Statements kept prepared. Longer ones are made for one occasion, such as an insert of many rows. */
const mostStatements = 300;
const longestStatement = 8000;

/**
 * Runs statements on PGlite, one message batch each. PGlite's own `query` crosses into WebAssembly five times and
 * plans anew every time; prepared and batched, the same statement costs a fifth of that.
 */
export class PGliteSession {
  readonly #pg: PGlite;
  readonly #statements = new Map<string, Statement>();
  #names = 0;

  constructor(pg: PGlite) {
    this.#pg = pg;
  }

  async execute<R>(sql: string, parameters: readonly unknown[]): Promise<QueryResult<R>> {
    // Only the simple protocol takes several statements at once.
    if (parameters.length === 0 && sql.includes(';')) {
      await this.script(sql);
      return { rows: [] };
    }
    const values = parameters.map(toWire);
    const known = this.#statements.get(sql);
    if (known) return this.#run<R>(known, [], values);
    if (sql.length > longestStatement)
      return this.#run<R>({ name: '', columns: null }, [serialize.parse({ text: sql })], values);
    const statement: Statement = { name: `w${this.#names++}`, columns: null };
    const preparing = [...this.#makeRoom(), serialize.parse({ name: statement.name, text: sql })];
    return this.#run<R>(statement, preparing, values, () => this.#statements.set(sql, statement));
  }

  /** Runs statements without parameters. */
  async script(sql: string): Promise<void> {
    await this.#send([serialize.query(sql)]);
  }

  /** Forgets the statement that was prepared first, when there are too many. */
  #makeRoom(): Uint8Array[] {
    if (this.#statements.size < mostStatements) return [];
    for (const [sql, statement] of this.#statements) {
      this.#statements.delete(sql);
      return [serialize.close({ type: 'S', name: statement.name })];
    }
    return [];
  }

  async #run<R>(
    statement: Statement,
    before: Uint8Array[],
    values: WireValue[],
    onParsed?: () => void,
  ): Promise<QueryResult<R>> {
    const described = statement.columns !== null;
    const answers = await this.#send(
      [
        ...before,
        serialize.bind({ statement: statement.name, values }),
        ...(described ? [] : [serialize.describe({ type: 'P' })]),
        serialize.execute(),
        serialize.sync(),
      ],
      onParsed,
    );
    const rows: R[] = [];
    let tag = '';
    for (const answer of answers) {
      if (answer instanceof messages.RowDescriptionMessage) {
        statement.columns = answer.fields.map((field) => ({ name: field.name, parse: columnParser(field.dataTypeID) }));
      } else if (answer instanceof messages.DataRowMessage) {
        rows.push(toRow(statement.columns ?? [], answer.fields) as R);
      } else if (answer instanceof messages.CommandCompleteMessage) {
        tag = answer.text;
      } else if (answer.name === 'noData') {
        statement.columns = [];
      }
    }
    const affected = /^(?:INSERT \d+|UPDATE|DELETE|MERGE) (\d+)$/.exec(tag)?.[1];
    return { rows, numAffectedRows: affected === undefined ? undefined : BigInt(affected) };
  }

  async #send(parts: Uint8Array[], onParsed?: () => void) {
    const answers = await this.#pg.execProtocolStream(Buffer.concat(parts), { syncToFs: false, throwOnError: false });
    if (onParsed && answers.some((answer) => answer.name === 'parseComplete')) onParsed();
    const failure = answers.find((answer) => answer instanceof messages.DatabaseError);
    if (failure) throw failure;
    if (!answers.some((answer) => answer instanceof messages.ReadyForQueryMessage)) {
      throw new WindlassError('unavailable', 'the embedded database has stopped working', {
        hint: 'stop Windlass and start it again: what was written is safe; check that the disk is not full',
      });
    }
    return answers;
  }
}

function toRow(columns: readonly Column[], fields: readonly (string | null)[]): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i];
    const field = fields[i];
    if (column !== undefined) row[column.name] = field === null || field === undefined ? null : column.parse(field);
  }
  return row;
}

type WireValue = string | Uint8Array | null;

/** A parameter in the text form of the protocol, as `pg` would send it; bytes stay bytes. */
function toWire(value: unknown): WireValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) return value;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return toArrayLiteral(value);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function toArrayLiteral(items: readonly unknown[]): string {
  const parts = items.map((item) => {
    if (item === null || item === undefined) return 'NULL';
    if (Array.isArray(item)) return toArrayLiteral(item);
    const text = item instanceof Uint8Array ? `\\x${Buffer.from(item).toString('hex')}` : String(toWire(item));
    return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  });
  return `{${parts.join(',')}}`;
}
