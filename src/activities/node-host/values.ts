import { resolveBinding, resolveVariables } from '../../definition/index.ts';
import type { LevelVariable, VariableLayer } from '../../definition/index.ts';
import type { EffectiveVariable, NodeBegin, NodeSnapshot, VariableValue } from '../../model/index.ts';
import { WindlassError } from '../../model/index.ts';
import { takesDown } from '../../node/index.ts';
import type { NodeValues } from '../../node/index.ts';
import { loadVariableLayers, outputsOfSiblings, secretContexts } from '../../store/index.ts';
import { isToolVariable } from '../../tools/catalogue.ts';
import type { HostDeps } from './records.ts';

/** The variables and inputs that are in force for a node now, decrypted. Throws `definition` errors that name them. */
export async function resolveNodeValues(deps: HostDeps, begin: NodeBegin, snapshot: NodeSnapshot): Promise<NodeValues> {
  const layers = await loadVariableLayers(deps.db.sql, deps.secrets, {
    organizationId: begin.organization_id,
    projectId: begin.project_id,
    templateId: snapshot.templateId,
    workflowTemplateId: begin.parent_template_id,
    workflowEnvironmentId: begin.entity_id,
    nodeEnvironmentId: begin.parent_id === null ? null : begin.environment_id,
    alias: begin.parent_id === null ? null : begin.alias,
    groups: begin.groups.map(({ id, alias, template_id }) => ({ alias, environmentId: id, templateId: template_id })),
  });
  // A rollback restores the values that the earlier success ran with, not today's.
  if (snapshot.resolved !== undefined)
    return { variables: renewCredentials(openResolved(deps, begin.environment_id, snapshot), layers), unknown: [] };
  const unseal = (sensitive: boolean, value: VariableValue): VariableValue =>
    sensitive && typeof value === 'string'
      ? (JSON.parse(deps.secrets.open(value, secretContexts.snapshot(begin.project_id))) as VariableValue)
      : value;
  const own = (from: NodeSnapshot['variables'][number]['from']) =>
    snapshot.variables
      .filter((variable) => variable.from === from)
      .map(({ name, kind, type, sensitive, value }) => ({
        name,
        kind,
        type,
        sensitive,
        value: unseal(sensitive, value),
      }));
  const bound = await bindInputs(deps, begin, snapshot);
  const { effective, problems } = resolveVariables([
    ...layers,
    { level: 'workflow', variables: [...own('workflow'), ...bound.inherited] },
    { level: 'file', variables: [...own('file'), ...bound.values] },
    { level: 'deployment', variables: own('request') },
  ]);
  if (problems.length > 0) {
    throw new WindlassError('invalidDefinition', problems.map((problem) => problem.message).join('; '), {
      class: 'definition',
      problems,
      hint: `see where each value comes from: windlass variable list --environment ${begin.entity_id} --effective`,
    });
  }
  return { variables: effective, unknown: bound.unknown };
}

async function bindInputs(deps: HostDeps, begin: NodeBegin, snapshot: NodeSnapshot) {
  if (snapshot.inputs.length === 0) return { values: [], inherited: [], unknown: [] };
  const aliases = [
    ...new Set(snapshot.inputs.flatMap((input) => input.references.map((reference) => reference.alias))),
  ];
  const outputs = await outputsOfSiblings(deps.db.sql, deps.secrets, begin.entity_id, aliases);
  const lookup = (alias: string, output: string) => outputs.get(alias)?.get(output);
  const values: LevelVariable[] = [];
  const inherited: LevelVariable[] = [];
  const unknown: string[] = [];
  const before =
    takesDown(begin) && begin.deployed_snapshot !== null
      ? openResolved(deps, begin.environment_id, begin.deployed_snapshot)
      : [];
  for (const input of snapshot.inputs) {
    const into = input.inherited === true ? inherited : values;
    const { value, problems } = resolveBinding(
      {
        name: input.name,
        kind: input.kind,
        type: input.type ?? undefined,
        template: input.template,
        references: input.references,
        whole: input.whole ? input.references[0] : undefined,
        position: undefined,
      },
      lookup,
    );
    // What it reads from may be gone already, by force. A destroy must not fail for that: it takes what the stack was
    // deployed with, or nothing when it never got that far.
    if (value === null && takesDown(begin)) {
      const { name, kind } = input;
      const last = before.find((variable) => variable.name === name && variable.kind === kind);
      if (last !== undefined) into.push({ name, kind, type: last.type, value: last.value, sensitive: last.sensitive });
      else if (kind === 'tool') into.push({ name, kind, type: 'text' as const, value: null, sensitive: false });
    } else if (value === null) unknown.push(...problems.map((problem) => problem.message));
    else
      into.push({
        name: input.name,
        kind: input.kind,
        type: value.type,
        value: value.value,
        sensitive: value.sensitive,
      });
  }
  if (unknown.length > 0 && begin.action !== 'plan') {
    throw new WindlassError('invalidDefinition', unknown.join('; '), {
      class: 'definition',
      hint: 'check the output in the stack that makes it, deploy that stack, then resume',
      problems: unknown.map((message) => ({ message })),
    });
  }
  return { values, inherited, unknown };
}

/** The values of a success, to be kept with its snapshot for a later rollback. */
export function sealResolved(
  deps: HostDeps,
  environmentId: string,
  variables: readonly EffectiveVariable[],
): NodeSnapshot['resolved'] {
  return variables.map(({ name, kind, type, sensitive, value }) => ({
    name,
    kind,
    type,
    sensitive,
    value: sensitive ? deps.secrets.seal(JSON.stringify(value), secretContexts.resolved(environmentId)) : value,
  }));
}

/** What opens the door to an account is not part of what is restored: keys expire and are replaced. */
function renewCredentials(
  restored: readonly EffectiveVariable[],
  layers: readonly VariableLayer[],
): EffectiveVariable[] {
  const today = new Map(
    resolveVariables(layers).effective.flatMap((variable) =>
      variable.kind === 'environment' && variable.sensitive && !isToolVariable('values', variable.name)
        ? [[variable.name, variable] as const]
        : [],
    ),
  );
  return restored.map((variable) =>
    variable.kind === 'environment' && variable.sensitive ? (today.get(variable.name) ?? variable) : variable,
  );
}

function openResolved(deps: HostDeps, environmentId: string, snapshot: NodeSnapshot): EffectiveVariable[] {
  return (snapshot.resolved ?? []).map(({ name, kind, type, sensitive, value }) => ({
    name,
    kind,
    type,
    sensitive,
    value:
      sensitive && typeof value === 'string'
        ? (JSON.parse(deps.secrets.open(value, secretContexts.resolved(environmentId))) as VariableValue)
        : value,
    level: 'deployment',
    overrides: [],
  }));
}
