import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { z } from 'zod';
import type {
  DriftStatus,
  Environment,
  EnvironmentLock,
  EnvironmentSettings,
  EnvironmentStatus,
  Page,
  Scope,
} from '../model/index.ts';
import { inlineTemplateSchema, newId, WindlassError } from '../model/index.ts';
import type { Db } from './database.ts';
import { selectEnvironments, toEnvironment } from './environment-dto.ts';
import { toJson, toNullableJson } from './json.ts';
import { ambiguous, escapeLike, looksLikeId, missing } from './lookup.ts';
import type { Candidate } from './lookup.ts';
import { nodesOf } from './nested.ts';
import type { PageRequest, Paging } from './paging.ts';
import { afterCursor, limitOf, orderBy, toPage } from './paging.ts';
import type { RowPatch } from './schema.ts';
import { inScope } from './scope.ts';
import { isForeignKeyViolation, isUniqueViolation } from './unavailable.ts';

export interface NewEnvironment {
  readonly projectId: string;
  readonly name: string;
  /** Exactly one of `templateId` and `inlineTemplate`. */
  readonly templateId?: string | null | undefined;
  readonly inlineTemplate?: z.infer<typeof inlineTemplateSchema> | undefined;
  /** Of a sub-environment. */
  readonly parent?: { readonly id: string; readonly alias: string } | undefined;
  readonly workspace?: string | null | undefined;
  readonly revision?: string | null | undefined;
  readonly settings: EnvironmentSettings;
}

export async function createEnvironment(db: Db, input: NewEnvironment): Promise<Environment> {
  const id = newId('env');
  try {
    await db
      .insertInto('environments')
      .values({
        id,
        project_id: input.projectId,
        parent_id: input.parent?.id ?? null,
        alias: input.parent?.alias ?? null,
        template_id: input.templateId ?? null,
        inline_template: input.inlineTemplate ? toJson(inlineTemplateSchema.parse(input.inlineTemplate)) : null,
        name: input.name,
        workspace: input.workspace ?? null,
        revision: input.revision ?? null,
        settings: toJson(input.settings),
      })
      .execute();
  } catch (error) {
    if (isUniqueViolation(error, 'environments_name')) {
      throw new WindlassError('conflict', `the project already has an environment "${input.name}"`, {
        hint: 'choose another name, or archive the other one after it was destroyed',
      });
    }
    if (isUniqueViolation(error, 'environments_alias')) {
      throw new WindlassError(
        'conflict',
        `the environment already has a sub-environment "${input.parent?.alias ?? ''}"`,
      );
    }
    if (isForeignKeyViolation(error)) {
      throw new WindlassError(
        'notFound',
        `the project, template or parent of environment "${input.name}" is not there any more`,
      );
    }
    throw error;
  }
  return getEnvironment(db, id);
}

/** By its exact id. */
export async function getEnvironment(db: Db, id: string): Promise<Environment> {
  const [row] = await selectEnvironments(db, { where: sql<boolean>`e.id = ${id}` });
  if (!row) throw missing('environment', id, []);
  return toEnvironment(row);
}

/** Every way to cut `shop/eks` into an environment and an alias; both may hold slashes. */
function pathsOf(reference: string): { parent: string; alias: string }[] {
  const paths = [];
  for (let at = reference.indexOf('/'); at >= 0 && paths.length < 20; at = reference.indexOf('/', at + 1)) {
    paths.push({ parent: reference.slice(0, at), alias: reference.slice(at + 1) });
  }
  return paths;
}

/**
 * What a person calls an environment: its id, a unique beginning of that, its name, or `name/alias` for a
 * sub-environment (the name may be an id there too). Upper and lower case count only when it would be ambiguous without.
 * Throws `notFound` or `ambiguous` with what there is.
 */
export async function findEnvironment(db: Db, reference: string, scope: Scope): Promise<Environment> {
  const text = reference.replaceAll('\0', '');
  const paths = pathsOf(text);
  const visible = inScope(scope, sql`e.project_id`);
  const prefix = looksLikeId(text, 'env') ? sql`WHEN e.id LIKE ${`${escapeLike(text)}%`} THEN 3` : sql``;
  const path = paths.map(
    ({ parent, alias }) => sql`
      WHEN (p.name = ${parent} OR p.id = ${parent}) AND e.alias = ${alias} THEN 2
      WHEN lower(p.name) = lower(${parent}) AND lower(e.alias) = lower(${alias}) THEN 5`,
  );
  const { rows } = await sql<Candidate & { readonly rank: number }>`
    SELECT * FROM (
      SELECT e.id, CASE WHEN p.id IS NULL THEN e.name ELSE p.name || '/' || e.alias END AS label,
        CASE WHEN e.id = ${text} THEN 0
          WHEN e.parent_id IS NULL AND e.name = ${text} THEN 1 + e.archived::int * 10
          ${sql.join(path, sql` `)}
          ${prefix}
          WHEN e.parent_id IS NULL AND lower(e.name) = lower(${text}) AND NOT e.archived THEN 4
        END + CASE WHEN e.detached THEN 10 ELSE 0 END AS rank
      FROM environments e LEFT JOIN environments p ON p.id = e.parent_id
      WHERE ${visible} AND (e.parent_id IS NULL OR ${paths.length > 0} OR e.id LIKE ${`${escapeLike(text)}%`})
    ) AS matches WHERE rank IS NOT NULL ORDER BY rank, label, id LIMIT 50`.execute(db);
  const best = rows.filter((row) => row.rank === rows[0]?.rank);
  if (best.length > 1) throw ambiguous('environment', reference, best);
  if (best[0]) return getEnvironment(db, best[0].id);
  throw missing('environment', reference, await candidatesFor(db, paths, visible));
}

/** The nodes of the environment before the slash when that one is there; else the environments. */
async function candidatesFor(
  db: Db,
  paths: readonly { parent: string }[],
  visible: RawBuilder<boolean>,
): Promise<Candidate[]> {
  const parents = paths.map(({ parent }) => parent);
  if (parents.length > 0) {
    const { rows } = await sql<Candidate>`
      SELECT e.id, p.name || '/' || e.alias AS label FROM environments e JOIN environments p ON p.id = e.parent_id
      WHERE ${visible} AND NOT e.detached AND (p.name = ANY(${parents}::text[]) OR p.id = ANY(${parents}::text[])) ORDER BY 2 LIMIT 200`.execute(
      db,
    );
    if (rows.length > 0) return rows;
  }
  const { rows } = await sql<Candidate>`
    SELECT e.id, e.name AS label FROM environments e WHERE ${visible} AND e.parent_id IS NULL AND NOT e.archived ORDER BY 2 LIMIT 200`.execute(
    db,
  );
  return rows;
}

export interface EnvironmentFilter extends PageRequest {
  readonly status?: EnvironmentStatus | undefined;
  /** Part of the name, upper or lower case. */
  readonly name?: string | undefined;
  /** Id of the parent, or of a workflow in a graph; null lists those without one, undefined all. */
  readonly parentId?: string | null | undefined;
  readonly drift?: DriftStatus | undefined;
  /** Only those that are deployed, destroyed or checked at fixed times. */
  readonly scheduled?: boolean | undefined;
  /** Archived ones instead of the others. */
  readonly archived?: boolean | undefined;
}

/** In the order of their names. */
export async function listEnvironments(
  db: Db,
  scope: Scope,
  filter: EnvironmentFilter = {},
): Promise<Page<Environment>> {
  const limit = limitOf(filter);
  const paging: Paging = {
    request: filter,
    columns: [
      { sql: 'e.name', type: 'text' },
      { sql: 'e.id', type: 'text' },
    ],
    direction: 'ascending',
  };
  const conditions: RawBuilder<boolean>[] = [
    afterCursor(paging),
    inScope(scope, sql`e.project_id`),
    sql<boolean>`e.archived = ${filter.archived ?? false}`,
  ];
  if (filter.status !== undefined) conditions.push(sql`e.status = ${filter.status}`);
  if (filter.name !== undefined) conditions.push(sql`e.name ILIKE ${`%${escapeLike(filter.name)}%`}`);
  if (filter.parentId === null) conditions.push(sql`e.parent_id IS NULL`);
  else if (filter.parentId !== undefined) conditions.push(sql<boolean>`e.id IN ${nodesOf(filter.parentId)}`);
  if (filter.drift !== undefined) conditions.push(sql`e.drift_status = ${filter.drift}`);
  if (filter.scheduled === true)
    conditions.push(sql`(e.settings -> 'schedule' IS NOT NULL OR e.settings -> 'drift' IS NOT NULL)`);
  const rows = await selectEnvironments(db, {
    where: sql<boolean>`${sql.join(conditions, sql` AND `)}`,
    orderBy: orderBy(paging),
    limit: limit + 1,
  });
  return toPage(rows, { limit, key: (row) => [row.name, row.id], map: toEnvironment });
}

/** The sub-environments that an environment, or a workflow in a graph, is made of, by alias; detached ones only when asked for. */
export async function listSubEnvironments(
  db: Db,
  environmentId: string,
  options: { readonly detached?: boolean } = {},
): Promise<Environment[]> {
  const rows = await selectEnvironments(db, {
    where: options.detached
      ? sql<boolean>`(e.parent_id = ${environmentId} OR e.id IN ${nodesOf(environmentId)})`
      : sql<boolean>`e.id IN ${nodesOf(environmentId)}`,
    orderBy: sql`e.alias`,
  });
  return rows.map(toEnvironment);
}

async function change(db: Db, id: string, patch: RowPatch<'environments'>): Promise<void> {
  const row = await db
    .updateTable('environments')
    .set({ ...patch, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .returning('id')
    .executeTakeFirst();
  if (!row) throw missing('environment', id, []);
}

export interface EnvironmentPatch {
  readonly name?: string | undefined;
  readonly templateId?: string | undefined;
  readonly workspace?: string | null | undefined;
  readonly revision?: string | null | undefined;
  readonly settings?: EnvironmentSettings | undefined;
}

/** Changes what is given and leaves the rest. */
export async function updateEnvironment(db: Db, id: string, patch: EnvironmentPatch): Promise<Environment> {
  try {
    await change(db, id, {
      ...(patch.name === undefined ? {} : { name: patch.name }),
      ...(patch.templateId === undefined ? {} : { template_id: patch.templateId, inline_template: null }),
      ...(patch.workspace === undefined ? {} : { workspace: patch.workspace }),
      ...(patch.revision === undefined ? {} : { revision: patch.revision }),
      ...(patch.settings === undefined ? {} : { settings: toJson(patch.settings) }),
    });
  } catch (error) {
    if (isUniqueViolation(error))
      throw new WindlassError('conflict', `the project already has an environment "${patch.name ?? ''}"`);
    if (isForeignKeyViolation(error)) throw missing('template', patch.templateId ?? '', []);
    throw error;
  }
  return getEnvironment(db, id);
}

/** null unlocks. */
export async function setEnvironmentLock(db: Db, id: string, lock: EnvironmentLock | null): Promise<void> {
  await change(db, id, { lock: toNullableJson(lock) });
}

/** When it is destroyed by itself; null for never. */
export async function setEnvironmentExpiry(db: Db, id: string, expiresAt: Date | null): Promise<void> {
  await change(db, id, { expires_at: expiresAt });
}

/** Hides an environment and its nodes, and frees its name. Whether it may be is for the caller to decide. */
export async function archiveEnvironment(db: Db, id: string): Promise<void> {
  const { rows } = await sql`
    UPDATE environments SET archived = true, expires_at = NULL, updated_at = now() WHERE id = ${id} OR parent_id = ${id} RETURNING id`.execute(
    db,
  );
  if (rows.length === 0) throw missing('environment', id, []);
}

/** Those of some environments that are put away. */
export async function archivedAmong(db: Db, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const rows = await db
    .selectFrom('environments')
    .select('id')
    .where('id', 'in', [...ids])
    .where('archived', '=', true)
    .execute();
  return rows.map(({ id }) => id);
}
