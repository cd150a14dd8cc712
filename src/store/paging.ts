import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import type { Page } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';

export interface PageRequest {
  /** `next` of the page before; the first page when absent. */
  readonly cursor?: string | undefined;
  /** 1 to 200, 50 when absent. */
  readonly limit?: number | undefined;
}

/** The columns that order a list; together they are unique. */
export type SortKey = readonly (string | number)[];
const sortKeySchema = z
  .array(z.union([z.string(), z.number()]))
  .min(1)
  .max(3);

const defaultLimit = 50;
const largestLimit = 200;

/** How many to read: one more than asked for says whether there is a next page. */
export function limitOf({ limit = defaultLimit }: PageRequest): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > largestLimit) {
    throw new WindlassError('invalidInput', `limit is a whole number from 1 to ${largestLimit}, not ${limit}`);
  }
  return limit;
}

export function encodeCursor(key: SortKey): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

function decodeCursor(cursor: string, shape: SortKey): SortKey {
  try {
    const key = sortKeySchema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
    const fits = key.length === shape.length && key.every((part, i) => typeof part === typeof shape[i]);
    const storable = key.every((part) =>
      typeof part === 'string' ? !part.includes('\0') : Number.isSafeInteger(part),
    );
    if (fits && storable) return key;
  } catch {
    // Said below.
  }
  throw new WindlassError('invalidInput', 'the cursor is not one of this list', {
    hint: 'pass `next` of the page before as it was answered, or leave it out to begin anew',
  });
}

export interface Paging {
  readonly request: PageRequest;
  /** SQL of the columns that order the list, with an example value of each. */
  readonly columns: readonly { readonly sql: string; readonly type: 'text' | 'integer' }[];
  readonly direction: 'ascending' | 'descending';
}

/** `column > value` over the whole key, for the rows after the cursor; true without one. */
export function afterCursor({ request, columns, direction }: Paging): RawBuilder<boolean> {
  if (request.cursor === undefined || request.cursor === '') return sql<boolean>`true`;
  const key = decodeCursor(
    request.cursor,
    columns.map(({ type }) => (type === 'text' ? '' : 0)),
  );
  const left = sql.raw(columns.map((column) => column.sql).join(', '));
  const right = sql.join(key.map((part) => (typeof part === 'number' ? sql`${part}::bigint` : sql`${part}::text`)));
  return sql<boolean>`(${left}) ${sql.raw(direction === 'ascending' ? '>' : '<')} (${right})`;
}

export function orderBy({ columns, direction }: Paging): RawBuilder<unknown> {
  const suffix = direction === 'ascending' ? '' : ' DESC';
  return sql.raw(columns.map((column) => column.sql + suffix).join(', '));
}

/** Cuts the extra row off and makes the cursor of the next page. */
export function toPage<R, T>(
  rows: readonly R[],
  options: { limit: number; key: (row: R) => SortKey; map: (row: R) => T },
): Page<T> {
  const shown = rows.slice(0, options.limit);
  const last = shown.at(-1);
  const next = rows.length > options.limit && last !== undefined ? encodeCursor(options.key(last)) : null;
  return { items: shown.map(options.map), next };
}
