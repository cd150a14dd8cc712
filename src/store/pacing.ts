import { sql } from 'kysely';
import type { Db } from './database.ts';

export interface Pace {
  /** Milliseconds until the account may be called again. */
  readonly waitMs: number;
  /** How often in a row it has asked for slower calls; those of one wait count once. */
  readonly strikes: number;
}

export interface PaceRule {
  readonly firstMs: number;
  readonly longestMs: number;
  /** After this long without a further strike the account counts as calm again. */
  readonly resetAfterMs: number;
}

/** Notes that an account asked for slower calls. Waits double; strikes that come while it is being waited for are one. */
export async function recordThrottle(
  db: Db,
  key: string,
  { firstMs, longestMs, resetAfterMs }: PaceRule,
): Promise<Pace> {
  const ms = (value: number) => sql`(${value}::float8 * interval '1 millisecond')`;
  const next = sql`CASE WHEN pacing.until < now() - ${ms(resetAfterMs)} THEN 1 ELSE pacing.strikes + 1 END`;
  const { rows } = await sql<Pace>`
    INSERT INTO pacing (key, until, strikes) VALUES (${key}, now() + ${ms(firstMs)}, 1)
    ON CONFLICT (key) DO UPDATE SET
      strikes = CASE WHEN pacing.until > now() THEN pacing.strikes ELSE ${next} END,
      until = CASE WHEN pacing.until > now() THEN pacing.until
        ELSE now() + LEAST(${longestMs}::float8, ${firstMs}::float8 * power(2::float8, LEAST(${next} - 1, 30))) * interval '1 millisecond' END
    RETURNING ceil(extract(epoch FROM until - now()) * 1000)::int AS "waitMs", strikes`.execute(db);
  return rows[0] ?? { waitMs: firstMs, strikes: 1 };
}

/** Accounts that are being waited for now, with the milliseconds that are left. */
export async function readPaces(db: Db): Promise<Map<string, number>> {
  const { rows } = await sql<{ key: string; waitMs: number }>`
    SELECT key, ceil(extract(epoch FROM until - now()) * 1000)::int AS "waitMs" FROM pacing WHERE until > now()`.execute(
    db,
  );
  return new Map(rows.map(({ key, waitMs }) => [key, waitMs]));
}
