import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import type { Page, Project, Scope, ScopeSettings } from '../model/index.ts';
import { newId, organizationSettingsSchema, WindlassError } from '../model/index.ts';
import type { Db } from './database.ts';
import { fromJson, iso, toJson } from './json.ts';
import { escapeLike, looksLikeId, missing, pickBest } from './lookup.ts';
import type { PageRequest, Paging } from './paging.ts';
import { afterCursor, limitOf, orderBy, toPage } from './paging.ts';
import type { ProjectsTable } from './schema.ts';
import { inScope } from './scope.ts';
import { inTransaction } from './transactions.ts';
import { isForeignKeyViolation, isUniqueViolation } from './unavailable.ts';

export function toProject(row: Selectable<ProjectsTable>): Project {
  return {
    id: row.id,
    organizationId: row.organization_id,
    name: row.name,
    settings: fromJson(organizationSettingsSchema, row.settings, `the settings of project ${row.id}`),
    createdAt: iso(row.created_at),
  };
}

export interface NewProject {
  readonly organizationId: string;
  readonly name: string;
  readonly settings?: ScopeSettings;
}

export async function createProject(db: Db, input: NewProject): Promise<Project> {
  try {
    const row = await db
      .insertInto('projects')
      .values({
        id: newId('prj'),
        organization_id: input.organizationId,
        name: input.name,
        settings: toJson(input.settings ?? {}),
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    return toProject(row);
  } catch (error) {
    if (isUniqueViolation(error)) throw new WindlassError('conflict', `there is already a project "${input.name}"`);
    if (isForeignKeyViolation(error)) throw missing('organization', input.organizationId, []);
    throw error;
  }
}

export async function listProjects(db: Db, scope: Scope, request: PageRequest = {}): Promise<Page<Project>> {
  const limit = limitOf(request);
  const paging: Paging = {
    request,
    columns: [
      { sql: 'name', type: 'text' },
      { sql: 'id', type: 'text' },
    ],
    direction: 'ascending',
  };
  const rows = await db
    .selectFrom('projects')
    .selectAll()
    .where(afterCursor(paging))
    .where(inScope(scope, sql.ref('id')))
    .orderBy(orderBy(paging))
    .limit(limit + 1)
    .execute();
  return toPage(rows, { limit, key: (row) => [row.name, row.id], map: toProject });
}

/** By id, unique beginning of one, or name. Throws `notFound` or `ambiguous` with what there is. */
export async function findProject(db: Db, reference: string, scope: Scope): Promise<Project> {
  const visible = db.selectFrom('projects').where(inScope(scope, sql.ref('id')));
  const rows = await visible
    .selectAll()
    .where((where) =>
      where.or([
        where('id', '=', reference),
        where('name', '=', reference),
        ...(looksLikeId(reference, 'prj') ? [where('id', 'like', `${escapeLike(reference)}%`)] : []),
      ]),
    )
    .execute();
  const matches = rows.map((row) => ({
    row,
    id: row.id,
    label: row.name,
    rank: row.id === reference ? 0 : row.name === reference ? 1 : 2,
  }));
  const found = pickBest('project', reference, matches);
  if (found) return toProject(found.row);
  throw missing(
    'project',
    reference,
    await visible.select(['id', 'name as label']).orderBy('name').limit(200).execute(),
  );
}

export async function updateProjectSettings(db: Db, id: string, settings: ScopeSettings): Promise<Project> {
  const row = await db
    .updateTable('projects')
    .set({ settings: toJson(settings) })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst();
  if (!row) throw missing('project', id, []);
  return toProject(row);
}

/** Throws `conflict` while the project has environments or templates, archived ones included: they keep its history. */
export async function deleteProject(db: Db, id: string): Promise<void> {
  const inUse = new WindlassError('conflict', 'the project still has environments or templates', {
    hint: 'delete its templates first; a project that has had environments stays, with their history',
  });
  const used = await db
    .selectFrom('environments')
    .select('id')
    .where('project_id', '=', id)
    .union(db.selectFrom('templates').select('id').where('project_id', '=', id))
    .limit(1)
    .executeTakeFirst();
  if (used) throw inUse;
  try {
    await inTransaction(db, async (tx) => {
      const deleted = await tx.deleteFrom('projects').where('id', '=', id).returning('id').executeTakeFirst();
      if (!deleted) throw missing('project', id, []);
      await tx.deleteFrom('variables').where('scope', '=', 'project').where('scope_id', '=', id).execute();
    });
  } catch (error) {
    throw isForeignKeyViolation(error) ? inUse : error;
  }
}

/** Names of what is in a project, some of each. */
export async function listProjectContents(
  db: Db,
  id: string,
): Promise<{
  readonly environments: readonly { readonly name: string; readonly archived: boolean }[];
  readonly templates: readonly string[];
}> {
  const of = (table: 'environments' | 'templates') => db.selectFrom(table).where('project_id', '=', id).limit(20);
  const environments = await of('environments').select(['name', 'archived']).execute();
  const templates = await of('templates').select('name').execute();
  return { environments, templates: templates.map(({ name }) => name) };
}

/** Throws `conflict` when the name is taken. */
export async function renameProject(db: Db, id: string, name: string): Promise<void> {
  try {
    await db.updateTable('projects').set({ name }).where('id', '=', id).execute();
  } catch (thrown) {
    if (isUniqueViolation(thrown)) throw new WindlassError('conflict', `there is already a project "${name}"`);
    throw thrown;
  }
}
