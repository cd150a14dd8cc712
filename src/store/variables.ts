import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import { z } from 'zod';
import type {
  Page,
  Scope,
  Variable,
  VariableDto,
  VariableInput,
  VariableLevel,
  VariableScope,
  VariableValue,
} from '../model/index.ts';
import {
  newId,
  variableSchema,
  variableKindSchema,
  variableScopeSchema,
  variableTypeSchema,
  variableValueSchema,
} from '../model/index.ts';
import { aliasInside, isInside } from '../definition/index.ts';
import type { Db } from './database.ts';
import { fromJson, iso, toJson, toNullableJson } from './json.ts';
import { missing } from './lookup.ts';
import type { PageRequest, Paging } from './paging.ts';
import { afterCursor, limitOf, orderBy, toPage } from './paging.ts';
import type { VariableRow } from './schema.ts';
import { inScope } from './scope.ts';
import { secretContexts } from './secrets.ts';
import type { Secrets } from './secrets.ts';

/** Where a variable is kept: the id is that of an organization, project, template or environment. */
export interface VariablePlace {
  readonly scope: VariableScope;
  readonly scopeId: string;
}

function placeOf(row: VariableRow): string {
  return secretContexts.variable({
    scope: row.scope,
    scopeId: row.scope_id,
    alias: row.alias,
    kind: row.kind,
    name: row.name,
  });
}

const allowedSchema = z.array(variableValueSchema).nullable();

/** Without the value when it is sensitive. */
export function toVariable(row: VariableRow): VariableDto {
  const place = `variable ${row.id}`;
  return {
    id: row.id,
    scope: fromJson(variableScopeSchema, row.scope, place),
    scopeId: row.scope_id,
    alias: row.alias === '' ? null : row.alias,
    name: row.name,
    kind: fromJson(variableKindSchema, row.kind, place),
    type: fromJson(variableTypeSchema, row.type, place),
    value: row.sensitive ? null : fromJson(variableSchema.shape.value, row.value, place),
    hasValue: row.value !== null,
    sensitive: row.sensitive,
    readOnly: row.read_only,
    required: row.required,
    regex: row.regex,
    allowed: fromJson(allowedSchema, row.allowed, place),
    description: row.description,
    updatedAt: iso(row.updated_at),
  };
}

/** Makes the variable of this place, alias, kind and name, or replaces it whole. */
export async function upsertVariable(
  db: Db,
  secrets: Secrets,
  place: VariablePlace,
  input: VariableInput,
): Promise<VariableDto> {
  const alias = input.alias ?? '';
  const context = secretContexts.variable({ ...place, alias, kind: input.kind, name: input.name });
  const stored =
    input.value === undefined
      ? null
      : toJson(input.sensitive ? secrets.seal(JSON.stringify(input.value), context) : input.value);
  const values = {
    type: input.type,
    value: stored,
    sensitive: input.sensitive,
    read_only: input.readOnly,
    required: input.required,
    regex: input.regex ?? null,
    allowed: toNullableJson(input.allowed),
    description: input.description ?? null,
    updated_at: sql<Date>`now()`,
  };
  const row = await db
    .insertInto('variables')
    .values({
      id: newId('var'),
      scope: place.scope,
      scope_id: place.scopeId,
      alias,
      kind: input.kind,
      name: input.name,
      ...values,
    })
    .onConflict((conflict) => conflict.columns(['scope', 'scope_id', 'alias', 'kind', 'name']).doUpdateSet(values))
    .returningAll()
    .executeTakeFirstOrThrow();
  return toVariable(row);
}

export interface VariableFilter extends PageRequest, Partial<VariablePlace> {
  readonly name?: string | undefined;
}

/** By name. Sensitive values are left out. */
export async function listVariables(db: Db, filter: VariableFilter): Promise<Page<VariableDto>> {
  const limit = limitOf(filter);
  const paging: Paging = {
    request: filter,
    columns: [
      { sql: 'name', type: 'text' },
      { sql: 'id', type: 'text' },
    ],
    direction: 'ascending',
  };
  let query = db.selectFrom('variables').selectAll().where(afterCursor(paging));
  if (filter.scope !== undefined) query = query.where('scope', '=', filter.scope);
  if (filter.scopeId !== undefined) query = query.where('scope_id', '=', filter.scopeId);
  if (filter.name !== undefined) query = query.where('name', '=', filter.name);
  const rows = await query
    .orderBy(orderBy(paging))
    .limit(limit + 1)
    .execute();
  return toPage(rows, { limit, key: (row) => [row.name, row.id], map: toVariable });
}

/** Whether the place of a variable may be seen. */
function visibleIn(scope: Scope): RawBuilder<boolean> {
  if (scope === 'all') return sql<boolean>`true`;
  return sql<boolean>`CASE variables.scope
    WHEN 'project' THEN ${inScope(scope, sql`variables.scope_id`)}
    WHEN 'template' THEN EXISTS (SELECT 1 FROM templates t WHERE t.id = variables.scope_id AND ${inScope(scope, sql`t.project_id`)})
    WHEN 'environment' THEN EXISTS (SELECT 1 FROM environments e WHERE e.id = variables.scope_id AND ${inScope(scope, sql`e.project_id`)})
    ELSE false END`;
}

/** By its exact id; throws `notFound`. */
export async function getVariable(db: Db, id: string, scope: Scope): Promise<VariableDto> {
  const row = await db
    .selectFrom('variables')
    .selectAll()
    .where('id', '=', id)
    .where(visibleIn(scope))
    .executeTakeFirst();
  if (!row) throw missing('variable', id, []);
  return toVariable(row);
}

/** Answers what was deleted; throws `notFound` when it is not there. */
export async function deleteVariable(db: Db, id: string): Promise<VariableDto> {
  const row = await db.deleteFrom('variables').where('id', '=', id).returningAll().executeTakeFirst();
  if (!row) throw missing('variable', id, []);
  return toVariable(row);
}

export interface VariableSubject {
  readonly organizationId: string;
  readonly projectId: string;
  readonly templateId: string | null;
  /** Template of the workflow environment, whose variables hold for all nodes; absent for what is no node. */
  readonly workflowTemplateId?: string | null | undefined;
  /** null when there is none yet: a file is checked against a project. */
  readonly workflowEnvironmentId: string | null;
  /** null when asked for the workflow environment, or an environment without nodes, itself. */
  readonly nodeEnvironmentId: string | null;
  /** Its path in the graph. */
  readonly alias: string | null;
  /** The workflows of the graph that it is in, outermost first. */
  readonly groups?: readonly EnclosingWorkflow[] | undefined;
}

/** A node of a graph that is a workflow, whose variables hold for the nodes in it. */
export interface EnclosingWorkflow {
  readonly alias: string;
  readonly templateId: string | null;
  /** null when it is new. */
  readonly environmentId: string | null;
}

/** Variables of one level, decrypted. */
export interface StoredLayer {
  readonly level: VariableLevel;
  readonly variables: readonly Variable[];
}

/**
 * All stored variables that reach an environment or node, from the farthest layer to the nearest, in one query. A level
 * may come as several layers: what is given for one alias is nearer than what is given for all.
 */
export async function loadVariableLayers(db: Db, secrets: Secrets, subject: VariableSubject): Promise<StoredLayer[]> {
  const [layers = []] = await loadLayersOfAll(db, secrets, [subject]);
  return layers;
}

/** The same for many at once, in their order, with one query for all. */
export async function loadLayersOfAll(
  db: Db,
  secrets: Secrets,
  subjects: readonly VariableSubject[],
): Promise<StoredLayer[][]> {
  const placesOfAll = subjects.map(placesOfSubject);
  const scopeIds = [...new Set(placesOfAll.flatMap((places) => places.map((place) => place.scopeId)))];
  const aliases = [...new Set(placesOfAll.flatMap((places) => places.map((place) => place.alias)))];
  const rows = await db
    .selectFrom('variables')
    .selectAll()
    .where(sql<boolean>`scope_id IN (SELECT jsonb_array_elements_text(${JSON.stringify(scopeIds)}::jsonb))`)
    .where(sql<boolean>`alias IN (SELECT jsonb_array_elements_text(${JSON.stringify(aliases)}::jsonb))`)
    .orderBy('name')
    .execute();
  const byPlace = new Map<string, VariableRow[]>();
  for (const row of rows) {
    const key = keyOfPlace({ scope: row.scope, scopeId: row.scope_id, alias: row.alias });
    const list = byPlace.get(key);
    if (list === undefined) byPlace.set(key, [row]);
    else list.push(row);
  }
  const opened = new Map<string, readonly Variable[]>();
  const variablesOf = (key: string): readonly Variable[] => {
    const known = opened.get(key) ?? (byPlace.get(key) ?? []).map((row) => openVariable(secrets, row));
    opened.set(key, known);
    return known;
  };
  return placesOfAll.map((places) =>
    places.flatMap((place) => {
      const variables = variablesOf(keyOfPlace(place));
      return variables.length === 0 ? [] : [{ level: place.level, variables }];
    }),
  );
}

interface LayerPlace extends VariablePlace {
  readonly level: VariableLevel;
  readonly alias: string;
}

function keyOfPlace({ scope, scopeId, alias }: { scope: string; scopeId: string; alias: string }): string {
  return JSON.stringify([scope, scopeId, alias]);
}

/** Where variables of a subject may be, from the farthest to the nearest. */
function placesOfSubject(subject: VariableSubject): LayerPlace[] {
  const { alias, groups = [] } = subject;
  const whole = { alias: '', templateId: subject.workflowTemplateId, environmentId: subject.workflowEnvironmentId };
  const workflows = [whole, ...groups];
  const paths = [...groups.map((group) => group.alias), ...(alias === null ? [] : [alias])];
  const places: LayerPlace[] = [];
  const add = (level: VariableLevel, scope: VariableScope, scopeId: string | null | undefined, of = ''): void => {
    if (scopeId === null || scopeId === undefined) return;
    if (places.some((place) => place.scopeId === scopeId && place.alias === of)) return;
    places.push({ level, scope, scopeId, alias: of });
  };
  for (const [scope, scopeId] of [
    ['organization', subject.organizationId],
    ['project', subject.projectId],
  ] as const)
    for (const path of ['', ...paths]) add(scope, scope, scopeId, path);

  for (const { templateId } of [...workflows, subject]) add('template', 'template', templateId);
  // What a workflow's template says of one alias is nearer than what the node's own template says for all.
  for (const path of paths) {
    for (const around of workflows.filter((each) => contains(each.alias, path)))
      add('template', 'template', around.templateId, aliasInside(path, around.alias));
    add('template', 'template', subject.templateId, path);
  }

  add('environment', 'environment', whole.environmentId);
  for (const path of paths) {
    const group = groups.find((each) => each.alias === path);
    const level = group === undefined ? 'node' : 'environment';
    for (const around of workflows.filter((each) => contains(each.alias, path)))
      add(level, 'environment', around.environmentId, aliasInside(path, around.alias));
    add(level, 'environment', group?.environmentId);
  }
  for (const of of ['', ...(alias === null ? [] : [alias])]) add('node', 'environment', subject.nodeEnvironmentId, of);
  return places;
}

/** Whether the workflow at one path has the node or workflow at another. */
function contains(workflow: string, path: string): boolean {
  return workflow === '' || isInside(path, workflow);
}

function openVariable(secrets: Secrets, row: VariableRow): Variable {
  const { id, scope, scopeId, alias, name, kind, type, sensitive, readOnly, required, regex, allowed, description } =
    toVariable(row);
  return {
    id,
    scope,
    scopeId,
    name,
    kind,
    type,
    value: openValue(secrets, row),
    sensitive,
    readOnly,
    required,
    regex: regex ?? undefined,
    allowed: allowed ?? undefined,
    description: description ?? undefined,
    alias: alias ?? undefined,
  };
}

function openValue(secrets: Secrets, row: VariableRow): VariableValue | undefined {
  if (row.value === null) return undefined;
  const place = `variable ${row.id}`;
  if (!row.sensitive) return fromJson(variableValueSchema, row.value, place);
  return fromJson(
    variableValueSchema,
    JSON.parse(secrets.open(fromJson(z.string(), row.value, place), placeOf(row))),
    place,
  );
}

/** Changes all of a variable but its value, which stays as it is stored. */
export async function updateVariableRules(
  db: Db,
  id: string,
  rules: Pick<VariableInput, 'readOnly' | 'required' | 'regex' | 'allowed' | 'description'>,
): Promise<void> {
  await db
    .updateTable('variables')
    .set({
      read_only: rules.readOnly,
      required: rules.required,
      regex: rules.regex ?? null,
      allowed: toNullableJson(rules.allowed),
      description: rules.description ?? null,
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', id)
    .execute();
}
