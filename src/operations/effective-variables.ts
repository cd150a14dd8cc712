import type { z } from 'zod';
import { isInside, resolveBinding, resolveVariables } from '../definition/index.ts';
import type { VariableLayer } from '../definition/index.ts';
import type { Environment, Page, effectiveVariableSchema } from '../model/index.ts';
import { variableValueSchema } from '../model/index.ts';
import {
  findProject,
  listSubEnvironments,
  loadFromFile,
  loadLayersOfAll,
  readOutputs,
  secretContexts,
} from '../store/index.ts';
import type { EnclosingWorkflow, FromFile, StoredOutput } from '../store/index.ts';
import { authorize, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';
import { findPlace } from './places.ts';

/** A variable in force, with where it comes from. Never with the value of a secret. */
export type ShownVariable = z.infer<typeof effectiveVariableSchema>;

type Input = FromFile['inputs'][number];

function fileLayer(
  context: Context,
  projectId: string,
  { level, stored }: { readonly level: 'workflow' | 'file'; readonly stored: FromFile['variables'] },
): VariableLayer {
  const place = secretContexts.snapshot(projectId);
  return {
    level,
    variables: stored.flatMap(({ from, value, ...variable }) => {
      if (from !== level) return [];
      const sealed = variable.sensitive && typeof value === 'string';
      return [
        {
          ...variable,
          value: sealed ? variableValueSchema.parse(JSON.parse(context.secrets.open(value, place))) : value,
        },
      ];
    }),
  };
}

type OutputOf = (alias: string, name: string) => StoredOutput | undefined;

/** Inputs whose outputs are there, as the variables that the tool gets. */
function inputLayer(level: 'workflow' | 'file', bound: readonly Input[], outputOf: OutputOf): VariableLayer {
  return {
    level,
    variables: bound.flatMap(({ name, kind, type, template, inherited }) => {
      if ((inherited === true) !== (level === 'workflow')) return [];
      const { value } = resolveBinding({ name, kind, type, template }, outputOf);
      return value === null ? [] : [{ name, kind, ...value }];
    }),
  };
}

/** The variables of one environment or node: those in force, and inputs whose outputs are not there yet. */
function shownOf(alias: string | null, layers: readonly VariableLayer[], bound: readonly Input[]): ShownVariable[] {
  const { effective } = resolveVariables(layers);
  const same = (a: { name: string; kind: string }) => (b: { name: string; kind: string }) =>
    a.name === b.name && a.kind === b.kind;
  const shown = effective.map((variable): ShownVariable => {
    const fromFile = variable.level === 'file' || variable.level === 'workflow';
    const input = fromFile ? bound.find(same(variable)) : undefined;
    return {
      ...variable,
      overrides: [...variable.overrides],
      value: variable.sensitive ? null : variable.value,
      level: input === undefined ? variable.level : 'input',
      alias,
      readOnly: layers.some((layer) => layer.variables.some((at) => same(variable)(at) && at.readOnly === true)),
      template: input?.template ?? null,
    };
  });
  const open = bound.filter((input) => !effective.some(same(input)));
  return [
    ...shown,
    ...open.map(({ name, kind, type, template }): ShownVariable => {
      const none = { value: null, sensitive: false, overrides: [], readOnly: false };
      return { name, kind, type: type ?? 'text', level: 'input', alias, template, ...none };
    }),
  ];
}

const identity = ({ name, kind, level, value, sensitive, readOnly }: ShownVariable): string =>
  JSON.stringify([kind, name, level, sensitive, readOnly, value]);

/** What is in force, and where each value comes from. */
export function effectiveVariableOperations(context: Context) {
  const { db, secrets } = context;

  async function outputsOf(nodes: readonly Environment[]): Promise<OutputOf> {
    const outputs = await readOutputs(
      db.sql,
      secrets,
      nodes.map(({ id }) => id),
    );
    const byAlias = new Map(nodes.map((node) => [node.alias, outputs.get(node.id) ?? []]));
    return (alias, name) => byAlias.get(alias)?.find((output) => output.name === name);
  }

  return {
    /**
     * Of an environment and of the nodes of its graph; of a node it tells what the node has beside those. Of one node, by
     * `alias` or by its own name, all that it gets.
     */
    async effectiveVariables({
      actor,
      ref,
      alias,
    }: Asked & { ref: string; alias?: string | undefined }): Promise<Page<ShownVariable>> {
      const place = await findPlace(db.sql, ref, scopeOf(actor));
      authorize(actor, 'view', place.environment.projectId);
      const { root } = place;
      const wanted = alias ?? place.alias;
      const project = await findProject(db.sql, root.projectId, 'all');
      const siblings = root.type === 'workflow' ? await listSubEnvironments(db.sql, root.id) : [];
      const workflows = siblings.filter(({ type }) => type === 'workflow');
      const nodes = siblings.filter((node) => (wanted === null ? node.type !== 'workflow' : node.alias === wanted));
      const subjects = [...(nodes.length === 0 || wanted === null ? [root] : []), ...nodes];
      const layers = await loadLayersOfAll(
        db.sql,
        secrets,
        subjects.map((subject) => ({
          organizationId: project.organizationId,
          projectId: project.id,
          templateId: subject.templateId,
          ...(subject.id === root.id ? {} : { workflowTemplateId: root.templateId }),
          workflowEnvironmentId: root.id,
          nodeEnvironmentId: subject.id === root.id ? null : subject.id,
          alias: subject.id === root.id ? (alias ?? null) : subject.alias,
          groups: workflows.flatMap(({ id, alias: path, templateId }): EnclosingWorkflow[] =>
            path !== null && isInside(subject.alias ?? alias ?? '', path)
              ? [{ alias: path, environmentId: id, templateId }]
              : [],
          ),
        })),
      );
      const fromFile = await loadFromFile(
        db.sql,
        subjects.map(({ id }) => id),
      );
      const outputOf = await outputsOf(siblings);
      const found = subjects.map((subject, index) => {
        const file = fromFile.get(subject.id) ?? { variables: [], inputs: [] };
        const fromFiles = (['workflow', 'file'] as const).flatMap((level) => [
          fileLayer(context, root.projectId, { level, stored: file.variables }),
          inputLayer(level, file.inputs, outputOf),
        ]);
        const all = [...(layers[index] ?? []), ...fromFiles];
        return shownOf(subject.id === root.id ? null : subject.alias, all, file.inputs);
      });
      if (wanted !== null) return { items: found.flat(), next: null };
      const [whole = [], ...parts] = found;
      const known = new Set(whole.map(identity));
      return {
        items: [...whole, ...parts.flatMap((part) => part.filter((item) => !known.has(identity(item))))],
        next: null,
      };
    },
  };
}
