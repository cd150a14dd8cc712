import type { Page, Scope, Template, TemplateInput, TemplateType } from '../model/index.ts';
import { newId, templateSchema, WindlassError } from '../model/index.ts';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { inTransaction } from './transactions.ts';
import { fromJson, iso, toJson, toNullableJson } from './json.ts';
import { escapeLike, looksLikeId, missing, pickBest } from './lookup.ts';
import type { PageRequest, Paging } from './paging.ts';
import { afterCursor, limitOf, orderBy, toPage } from './paging.ts';
import type { TemplateRow } from './schema.ts';
import { inScope } from './scope.ts';
import { isForeignKeyViolation, isUniqueViolation } from './unavailable.ts';

const { shape } = templateSchema;

export function toTemplate(row: TemplateRow): Template {
  const place = `template ${row.id}`;
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    type: fromJson(shape.type, row.type, place),
    source: fromJson(shape.source, row.source, place),
    config: fromJson(shape.config, row.config, place),
    retryOnDeploy: fromJson(shape.retryOnDeploy, row.retry_on_deploy, place),
    retryOnDestroy: fromJson(shape.retryOnDestroy, row.retry_on_destroy, place),
    description: row.description,
    createdAt: iso(row.created_at),
    updatedAt: iso(row.updated_at),
  };
}

function columnsOf(input: TemplateInput) {
  return {
    name: input.name,
    type: input.type,
    source: toJson(input.source),
    config: toJson(input.config),
    retry_on_deploy: toNullableJson(input.retryOnDeploy),
    retry_on_destroy: toNullableJson(input.retryOnDestroy),
    description: input.description ?? null,
  };
}

function nameTaken(error: unknown, name: string): unknown {
  return isUniqueViolation(error)
    ? new WindlassError('conflict', `the project already has a template "${name}"`)
    : error;
}

export async function createTemplate(db: Db, projectId: string, input: TemplateInput): Promise<Template> {
  try {
    const row = await db
      .insertInto('templates')
      .values({ id: newId('tpl'), project_id: projectId, ...columnsOf(input) })
      .returningAll()
      .executeTakeFirstOrThrow();
    return toTemplate(row);
  } catch (error) {
    if (isForeignKeyViolation(error)) throw missing('project', projectId, []);
    throw nameTaken(error, input.name);
  }
}

/** Replaces a template. Runs that were resolved before keep what they had. */
export async function updateTemplate(db: Db, id: string, input: TemplateInput): Promise<Template> {
  try {
    const row = await db
      .updateTable('templates')
      .set({ ...columnsOf(input), updated_at: sql<Date>`now()` })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirst();
    if (!row) throw missing('template', id, []);
    return toTemplate(row);
  } catch (error) {
    throw nameTaken(error, input.name);
  }
}

const mostNamed = 10;

async function templateInUse(db: Db, id: string): Promise<WindlassError | null> {
  const rows = await db
    .selectFrom('environments as e')
    .leftJoin('environments as p', 'p.id', 'e.parent_id')
    .where('e.template_id', '=', id)
    .where('e.archived', '=', false)
    .select(['e.name', 'e.alias', 'p.name as parent'])
    .orderBy('e.name')
    .limit(mostNamed + 1)
    .execute();
  if (rows.length === 0) return null;
  const names = rows
    .slice(0, mostNamed)
    .map((row) => `"${row.parent === null ? row.name : `${row.parent}/${row.alias}`}"`);
  const more = rows.length > mostNamed ? ' and others' : '';
  return new WindlassError('conflict', `the template is used by ${names.join(', ')}${more}`, {
    hint: 'destroy and archive these environments first, or give them another template',
  });
}

/** Throws `conflict` that names the environments which still use it. Archived ones keep a copy. */
export async function deleteTemplate(db: Db, id: string): Promise<void> {
  const used = await templateInUse(db, id);
  if (used) throw used;
  try {
    await inTransaction(db, async (tx) => {
      await sql`
        UPDATE environments e SET template_id = NULL,
          inline_template = jsonb_build_object('type', t.type, 'source', t.source, 'config', t.config)
        FROM templates t WHERE t.id = ${id} AND e.template_id = t.id AND e.archived`.execute(tx);
      const deleted = await tx.deleteFrom('templates').where('id', '=', id).returning('id').executeTakeFirst();
      if (!deleted) throw missing('template', id, []);
      await tx.deleteFrom('variables').where('scope', '=', 'template').where('scope_id', '=', id).execute();
    });
  } catch (error) {
    // An environment was made from it in the meantime.
    if (isForeignKeyViolation(error) && !db.isTransaction) throw (await templateInUse(db, id)) ?? error;
    throw error;
  }
}

export async function findTemplateById(db: Db, id: string): Promise<Template> {
  const row = await db.selectFrom('templates').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row) throw missing('template', id, []);
  return toTemplate(row);
}

/** By id, unique beginning of one, or name. Throws `notFound` or `ambiguous` with what there is. */
export async function findTemplate(db: Db, reference: string, scope: Scope): Promise<Template> {
  const visible = db
    .selectFrom('templates')
    .innerJoin('projects', 'projects.id', 'templates.project_id')
    .where(inScope(scope, sql.ref('templates.project_id')));
  const label = (row: { project: string; name: string }): string =>
    scope !== 'all' && scope.length === 1 ? row.name : `${row.project}/${row.name}`;
  const rows = await visible
    .selectAll('templates')
    .select('projects.name as project')
    .where((where) =>
      where.or([
        where('templates.id', '=', reference),
        where('templates.name', '=', reference),
        ...(looksLikeId(reference, 'tpl') ? [where('templates.id', 'like', `${escapeLike(reference)}%`)] : []),
      ]),
    )
    .execute();
  const matches = rows.map((row) => ({
    row,
    id: row.id,
    label: label(row),
    rank: row.id === reference ? 0 : row.name === reference ? 1 : 2,
  }));
  const found = pickBest('template', reference, matches);
  if (found) return toTemplate(found.row);
  const all = await visible
    .select(['templates.id', 'templates.name', 'projects.name as project'])
    .orderBy('templates.name')
    .limit(200)
    .execute();
  throw missing(
    'template',
    reference,
    all.map((row) => ({ id: row.id, label: label(row) })),
  );
}

export interface TemplateFilter extends PageRequest {
  /** Part of the name, upper or lower case. */
  readonly name?: string | undefined;
  readonly type?: TemplateType | undefined;
}

/** In the order of their names. */
export async function listTemplates(db: Db, scope: Scope, request: TemplateFilter = {}): Promise<Page<Template>> {
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
    .selectFrom('templates')
    .selectAll()
    .where(afterCursor(paging))
    .where(inScope(scope, sql.ref('project_id')))
    .$if(request.type !== undefined, (query) => query.where('type', '=', request.type ?? ''))
    .$if(request.name !== undefined, (query) => query.where('name', 'ilike', `%${escapeLike(request.name ?? '')}%`))
    .orderBy(orderBy(paging))
    .limit(limit + 1)
    .execute();
  return toPage(rows, { limit, key: (row) => [row.name, row.id], map: toTemplate });
}

/** Every template of a project, for checking a workflow file against it. */
export async function listTemplateNames(db: Db, projectId: string): Promise<Template[]> {
  const rows = await db
    .selectFrom('templates')
    .selectAll()
    .where('project_id', '=', projectId)
    .orderBy('name')
    .execute();
  return rows.map(toTemplate);
}
