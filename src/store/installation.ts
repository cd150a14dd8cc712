import { sql } from 'kysely';
import { z } from 'zod';
import type { Db } from './database.ts';
import { fromJson, toJson } from './json.ts';

/** What is said of an installation as a whole. */
export const installationSchemas = {
  /** New runs are recorded and wait, because the server is about to be moved. */
  hold: z.object({ since: z.iso.datetime(), by: z.string(), reason: z.string() }),
  /** This database is no longer the one that counts: it was copied to another. Not `done` while the copy is being made. */
  moved: z.object({ id: z.string(), to: z.string(), at: z.iso.datetime(), done: z.boolean() }),
  /** The records came from elsewhere: schedules and ends have to be told to Temporal anew. */
  arrived: z.object({
    id: z.string(),
    how: z.enum(['restore', 'move']),
    at: z.iso.datetime(),
    /** When what was copied was as it is; a backup may be old. */
    asOf: z.iso.datetime(),
    /** Ends that fell due before the arrival, or within this time after it, are put off until then. */
    graceHours: z.number(),
    done: z.boolean(),
  }),
  /** Ids of keys under which Temporal's histories have sealed payloads; each process must hold them all. */
  payloadKeys: z.object({ ids: z.array(z.string()) }),
} as const;
export type InstallationKey = keyof typeof installationSchemas;
export type InstallationValue<K extends InstallationKey> = z.output<(typeof installationSchemas)[K]>;

/** null when nothing is said. */
export async function readInstallation<K extends InstallationKey>(
  db: Db,
  key: K,
): Promise<InstallationValue<K> | null> {
  const row = await db.selectFrom('installation').select('value').where('key', '=', key).executeTakeFirst();
  if (row === undefined) return null;
  return fromJson(installationSchemas[key], row.value, `installation ${key}`) as InstallationValue<K>;
}

export async function writeInstallation<K extends InstallationKey>(
  db: Db,
  key: K,
  value: InstallationValue<K> | null,
): Promise<void> {
  if (value === null) {
    await db.deleteFrom('installation').where('key', '=', key).execute();
    return;
  }
  const stored = { value: toJson(value), updated_at: sql<Date>`now()` };
  await db
    .insertInto('installation')
    .values({ key, ...stored })
    .onConflict((conflict) => conflict.column('key').doUpdateSet(stored))
    .execute();
}

/** A run that is not over. */
export interface OpenRun {
  readonly deploymentId: string;
  readonly environment: string;
  readonly number: number;
  readonly type: string;
  readonly status: string;
}

/** Runs that are not over; without those that were asked for and have not begun since a moment, when given. */
export async function listOpenRuns(db: Db, heldSince: string | null): Promise<OpenRun[]> {
  const held =
    heldSince === null ? sql<boolean>`false` : sql<boolean>`d.status = 'queued' AND d.queued_at >= ${heldSince}`;
  const { rows } = await sql<OpenRun>`
    SELECT d.id AS "deploymentId", e.name AS environment, d.number, d.type, d.status FROM deployments d
    JOIN environments e ON e.id = d.environment_id WHERE d.finished_at IS NULL AND NOT (${held}) ORDER BY d.queued_at`.execute(
    db,
  );
  return rows;
}
