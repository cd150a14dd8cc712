import { isInside, patternProblem, resolveVariables } from '../definition/index.ts';
import type { VariableLayer } from '../definition/index.ts';
import type {
  Actor,
  Environment,
  Page,
  VariableDto,
  VariableInput,
  VariableLevel,
  VariableScope,
} from '../model/index.ts';
import { WindlassError, assertNever } from '../model/index.ts';
import {
  deleteVariable as removeVariable,
  findEnvironment,
  findOrganization,
  findProject,
  findTemplate,
  getEnvironment,
  getVariable,
  listVariables as readVariables,
  loadGroups,
  loadVariableLayers,
  updateVariableRules,
  upsertVariable,
} from '../store/index.ts';
import type { Db, PageRequest } from '../store/index.ts';
import { resolveProject } from './catalogue.ts';
import { audit, authorize, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';
import { undeclaredWarning } from './undeclared-variable.ts';
import { requireSteering, variableNameProblem } from './variable-names.ts';

interface Place {
  readonly scope: VariableScope;
  readonly scopeId: string;
  readonly projectId: string | null;
  readonly environment: Environment | null;
}

export interface VariableAddress {
  readonly scope: VariableScope;
  /** Name or id; the only organization, or the default project, when absent. */
  readonly scopeId?: string | undefined;
}

/** Turns a name of the place of a variable into the place. */
async function locate(db: Db, actor: Actor, { scope, scopeId }: VariableAddress): Promise<Place> {
  const visible = scopeOf(actor);
  const needed = (): string => {
    if (scopeId !== undefined) return scopeId;
    throw new WindlassError('invalidInput', `Which ${scope}? scopeId names it`, {
      problems: [{ path: 'query.scopeId', message: 'is needed here' }],
    });
  };
  switch (scope) {
    case 'organization': {
      const { id } = await findOrganization(db, scopeId);
      return { scope, scopeId: id, projectId: null, environment: null };
    }
    case 'project': {
      const { id } = await resolveProject(db, scopeId, visible);
      return { scope, scopeId: id, projectId: id, environment: null };
    }
    case 'template': {
      const template = await findTemplate(db, needed(), visible);
      return { scope, scopeId: template.id, projectId: template.projectId, environment: null };
    }
    case 'environment': {
      const environment = await findEnvironment(db, needed(), visible);
      return { scope, scopeId: environment.id, projectId: environment.projectId, environment };
    }
    default:
      return assertNever(scope, 'scope of variables');
  }
}

function requireView(actor: Asked['actor'], place: Place): void {
  if (place.projectId === null) authorize(actor, 'view');
  else authorize(actor, 'view', place.projectId);
}

function requireChange(
  actor: Asked['actor'],
  place: Place,
  { name, kind }: Pick<VariableInput, 'name' | 'kind'>,
): void {
  if (place.projectId !== null) requireSteering(actor, place.projectId, [{ name, kind, path: 'name' }]);
  if (place.projectId === null) authorize(actor, 'organization.manage');
  else authorize(actor, place.scope === 'environment' ? 'execute' : 'project.manage', place.projectId);
}

function checkDeclaration(input: VariableInput): void {
  const message = variableNameProblem(input);
  if (message !== null)
    throw new WindlassError('invalidInput', `"${input.name}" ${message}`, { problems: [{ path: 'name', message }] });
  const pattern = input.regex === undefined ? null : patternProblem(input.regex);
  if (pattern !== null)
    throw new WindlassError('invalidInput', `The pattern of "${input.name}" cannot be used: ${pattern}`, {
      problems: [{ path: 'regex', message: pattern }],
    });
}

/** Layers that reach an environment, decrypted. `alias` is a node of it. */
async function layersOf(context: Context, environment: Environment, alias: string | null): Promise<VariableLayer[]> {
  const { db, secrets } = context;
  const project = await findProject(db.sql, environment.projectId, 'all');
  const isNode = environment.parentId !== null && environment.alias !== null;
  const parent = isNode && environment.parentId !== null ? await getEnvironment(db.sql, environment.parentId) : null;
  const path = environment.alias ?? alias ?? '';
  const around = (await loadGroups(db.sql, parent?.id ?? environment.id)).filter((group) =>
    isInside(path, group.alias),
  );
  return loadVariableLayers(db.sql, secrets, {
    organizationId: project.organizationId,
    projectId: project.id,
    templateId: environment.templateId,
    ...(parent ? { workflowTemplateId: parent.templateId } : {}),
    workflowEnvironmentId: parent?.id ?? environment.id,
    nodeEnvironmentId: parent ? environment.id : null,
    alias: alias ?? environment.alias,
    groups: around.map((group) => ({ alias: group.alias, environmentId: group.id, templateId: group.template_id })),
  });
}

const levelOf: Readonly<Record<VariableScope, VariableLevel>> = {
  organization: 'organization',
  project: 'project',
  template: 'template',
  environment: 'environment',
};

/** Checks a value against its own rules, and for an environment against those of the levels above. */
async function checkValue(context: Context, place: Place, input: VariableInput): Promise<void> {
  checkDeclaration(input);
  const own: VariableLayer = {
    level: place.environment?.parentId || input.alias !== undefined ? 'node' : levelOf[place.scope],
    // A declaration without a value is checked when a nearer level gives one.
    variables: [{ ...input, required: input.value === undefined ? false : input.required }],
  };
  const above = place.environment === null ? [] : await layersOf(context, place.environment, input.alias ?? null);
  const farther = above.map((layer) => ({
    ...layer,
    variables: layer.variables.filter(
      (variable) =>
        variable.name === input.name &&
        variable.kind === input.kind &&
        !(
          'scopeId' in variable &&
          variable.scopeId === place.scopeId &&
          'alias' in variable &&
          (variable.alias ?? undefined) === input.alias
        ),
    ),
  }));
  const { problems } = resolveVariables([...farther, own]);
  const [first] = problems;
  if (first === undefined) return;
  throw new WindlassError(
    'invalidInput',
    `The variable does not fit: ${problems.map((problem) => problem.message).join('; ')}`,
    {
      problems: problems.map(({ message }) => ({ message, path: 'value' })),
    },
  );
}

/** What changes. Name, kind and alias say which variable it is: giving others is refused. */
export interface VariablePatch {
  readonly name?: string | undefined;
  readonly kind?: VariableInput['kind'] | undefined;
  readonly alias?: string | null | undefined;
  readonly type?: VariableInput['type'] | undefined;
  readonly value?: VariableInput['value'];
  readonly sensitive?: boolean | undefined;
  readonly readOnly?: boolean | undefined;
  readonly required?: boolean | undefined;
  readonly regex?: string | null | undefined;
  readonly allowed?: VariableInput['allowed'] | null;
  readonly description?: string | null | undefined;
}

function requireSameIdentity(before: VariableDto, patch: VariablePatch): void {
  const given = { name: patch.name, kind: patch.kind, alias: patch.alias };
  for (const field of ['name', 'kind', 'alias'] as const) {
    if (given[field] === undefined || given[field] === before[field]) continue;
    throw new WindlassError('invalidInput', `The ${field} of a variable cannot change`, {
      problems: [
        { path: field, message: `is ${before[field] === null ? 'not set' : `"${before[field]}"`} and cannot change` },
      ],
      hint: 'create another variable, and delete this one',
    });
  }
}

/** The stored variable with the change, as it would be given anew. */
function merged(before: VariableDto, patch: VariablePatch): VariableInput {
  const keep = <T>(given: T | null | undefined, known: T | null): T | undefined =>
    (given === undefined ? known : given) ?? undefined;
  return {
    name: before.name,
    kind: before.kind,
    type: patch.type ?? before.type,
    value:
      patch.value === undefined
        ? before.hasValue && !before.sensitive
          ? (before.value ?? undefined)
          : undefined
        : patch.value,
    sensitive: patch.sensitive ?? before.sensitive,
    readOnly: patch.readOnly ?? before.readOnly,
    required: patch.required ?? before.required,
    regex: keep(patch.regex, before.regex),
    allowed: keep(patch.allowed, before.allowed),
    description: keep(patch.description, before.description),
    ...(before.alias === null ? {} : { alias: before.alias }),
  };
}

/** Variables at every level. Values of sensitive ones go in and never come out. */
export function variableOperations(context: Context) {
  const { db, secrets } = context;
  return {
    async listVariables({
      actor,
      alias,
      name,
      cursor,
      limit,
      ...address
    }: Asked & VariableAddress & PageRequest & { alias?: string | undefined; name?: string | undefined }): Promise<
      Page<VariableDto>
    > {
      const place = await locate(db.sql, actor, address);
      requireView(actor, place);
      const page = await readVariables(db.sql, { scope: place.scope, scopeId: place.scopeId, name, cursor, limit });
      return alias === undefined ? page : { ...page, items: page.items.filter((variable) => variable.alias === alias) };
    },

    /** Creates a variable. Throws `conflict` when there is one of this kind, name and alias. */
    async createVariable({
      actor,
      input,
      ...address
    }: Asked & VariableAddress & { input: VariableInput }): Promise<VariableDto & { warning?: string }> {
      const place = await locate(db.sql, actor, address);
      requireChange(actor, place, input);
      await checkValue(context, place, input);
      const warning = place.environment && (await undeclaredWarning(context, place.environment, input));
      return db.transaction(async (tx) => {
        const { items } = await readVariables(tx, {
          scope: place.scope,
          scopeId: place.scopeId,
          name: input.name,
          limit: 200,
        });
        const known = items.find(
          (variable) => variable.kind === input.kind && variable.alias === (input.alias ?? null),
        );
        if (known) {
          throw new WindlassError('conflict', `The ${place.scope} already has the variable "${input.name}"`, {
            hint: `change it: PATCH /api/v1/variables/${known.id}`,
          });
        }
        const variable = await upsertVariable(tx, secrets, place, input);
        await audit(tx, actor, {
          action: 'variable.create',
          targetType: 'variable',
          targetId: variable.id,
          projectId: place.projectId,
          after: variable,
        });
        return warning === null ? variable : { ...variable, warning };
      });
    },

    async updateVariable({ actor, id, patch }: Asked & { id: string; patch: VariablePatch }): Promise<VariableDto> {
      const before = await getVariable(db.sql, id, scopeOf(actor));
      const place = await locate(db.sql, actor, { scope: before.scope, scopeId: before.scopeId });
      requireChange(actor, place, before);
      requireSameIdentity(before, patch);
      const input = merged(before, patch);
      if (before.sensitive && before.hasValue && patch.value === undefined && input.type !== before.type) {
        throw new WindlassError(
          'invalidInput',
          `The type of "${before.name}" cannot change without its value, which is secret`,
          { hint: 'send the value too' },
        );
      }
      if (before.sensitive && !input.sensitive && patch.value === undefined) {
        throw new WindlassError('invalidInput', `"${before.name}" stays sensitive unless its value is given anew`, {
          hint: 'a stored secret is never shown: send the value with sensitive: false',
        });
      }
      await checkValue(context, place, input);
      const keepsSecret = before.sensitive && before.hasValue && patch.value === undefined;
      return db.transaction(async (tx) => {
        let after: VariableDto;
        if (keepsSecret) {
          await updateVariableRules(tx, id, input);
          after = await getVariable(tx, id, 'all');
        } else after = await upsertVariable(tx, secrets, place, input);
        await audit(tx, actor, {
          action: 'variable.update',
          targetType: 'variable',
          targetId: id,
          projectId: place.projectId,
          before,
          after: patch.value === undefined ? after : { ...after, valueChanged: true },
        });
        return after;
      });
    },

    async deleteVariable({ actor, id }: Asked & { id: string }): Promise<void> {
      const known = await getVariable(db.sql, id, scopeOf(actor));
      const place = await locate(db.sql, actor, { scope: known.scope, scopeId: known.scopeId });
      requireChange(actor, place, known);
      await db.transaction(async (tx) => {
        const before = await removeVariable(tx, id);
        await audit(tx, actor, {
          action: 'variable.delete',
          targetType: 'variable',
          targetId: id,
          projectId: place.projectId,
          before,
        });
      });
    },
  };
}
