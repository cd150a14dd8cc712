import type { Selectable } from 'kysely';
import type { Organization, ScopeSettings } from '../model/index.ts';
import { newId, organizationSettingsSchema, WindlassError } from '../model/index.ts';
import type { Db } from './database.ts';
import { fromJson, iso, toJson } from './json.ts';
import { escapeLike, looksLikeId, missing, pickBest } from './lookup.ts';
import type { OrganizationsTable } from './schema.ts';
import { isUniqueViolation } from './unavailable.ts';

export function toOrganization(row: Selectable<OrganizationsTable>): Organization {
  return {
    id: row.id,
    name: row.name,
    settings: fromJson(organizationSettingsSchema, row.settings, `the settings of organization ${row.id}`),
    createdAt: iso(row.created_at),
  };
}

export async function createOrganization(
  db: Db,
  input: { readonly name: string; readonly settings?: ScopeSettings },
): Promise<Organization> {
  try {
    const row = await db
      .insertInto('organizations')
      .values({ id: newId('org'), name: input.name, settings: toJson(input.settings ?? {}) })
      .returningAll()
      .executeTakeFirstOrThrow();
    return toOrganization(row);
  } catch (error) {
    if (isUniqueViolation(error))
      throw new WindlassError('conflict', `there is already an organization "${input.name}"`);
    throw error;
  }
}

/** All of them by name; there are few. */
export async function listOrganizations(db: Db): Promise<Organization[]> {
  const rows = await db.selectFrom('organizations').selectAll().orderBy('name').execute();
  return rows.map(toOrganization);
}

/** By id, unique beginning of one, or name; the only one when no reference is given. */
export async function findOrganization(db: Db, reference?: string): Promise<Organization> {
  const rows = await db
    .selectFrom('organizations')
    .selectAll()
    .where((where) =>
      reference === undefined
        ? where.lit(true)
        : where.or([
            where('id', '=', reference),
            where('name', '=', reference),
            ...(looksLikeId(reference, 'org') ? [where('id', 'like', `${escapeLike(reference)}%`)] : []),
          ]),
    )
    .execute();
  const matches = rows.map((row) => ({
    row,
    id: row.id,
    label: row.name,
    rank: reference === undefined || row.id === reference ? 0 : row.name === reference ? 1 : 2,
  }));
  const found = pickBest('organization', reference ?? '', matches);
  if (found) return toOrganization(found.row);
  const all = await db.selectFrom('organizations').select(['id', 'name as label']).orderBy('name').limit(200).execute();
  throw missing('organization', reference ?? '', all);
}

export async function updateOrganizationSettings(db: Db, id: string, settings: ScopeSettings): Promise<Organization> {
  const row = await db
    .updateTable('organizations')
    .set({ settings: toJson(settings) })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst();
  if (!row) throw missing('organization', id, []);
  return toOrganization(row);
}
