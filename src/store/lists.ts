import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';

/**
 * `column IN (…)` of a list of the model. Its items are written into the statement, so that the planner sees them. They
 * are constants of ours, never anything that was given.
 */
export function oneOf(column: RawBuilder<unknown>, items: readonly string[]): RawBuilder<boolean> {
  return sql<boolean>`${column} IN (${sql.join(items.map((item) => sql.lit(item)))})`;
}

/** The same with NOT IN. */
export function noneOf(column: RawBuilder<unknown>, items: readonly string[]): RawBuilder<boolean> {
  return sql<boolean>`${column} NOT IN (${sql.join(items.map((item) => sql.lit(item)))})`;
}
