import {
  checkAgainstProject,
  checkNodeVariables,
  parseWorkflowFile,
  resolveVariables,
  textsOf,
} from '../definition/index.ts';
import type { Graph, Problem, Project } from '../model/index.ts';
import { runnableTypes } from '../tools/index.ts';
import {
  findProject,
  listTemplateNames,
  loadLayersOfAll,
  loadVariableLayers,
  scopeTtlSettings,
} from '../store/index.ts';
import { authorize, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';

export interface ValidateAsk extends Asked {
  readonly text: string;
  /** Decides which format the file has, and stands before each problem. */
  readonly fileName: string;
  /** The file's directory inside its source: code beside it may lie as far up as the source's root. */
  readonly directory?: string | undefined;
  /** Name or id: its templates and variables are checked too. */
  readonly project?: string | undefined;
}

export interface Validation {
  readonly problems: Problem[];
  /** null when the file has problems. */
  readonly graph: Graph | null;
}

/** Checking files without running anything. */
export function validateOperations({ db, secrets, resolver }: Context) {
  /** What a run in the project would refuse. Variables of an environment are not there yet, so they count as missing. */
  async function againstProject(
    scope: Project,
    text: string,
    options: { readonly fileName: string; readonly directory?: string | undefined },
  ): Promise<Problem[]> {
    const { fileName } = options;
    const base = {
      organizationId: scope.organizationId,
      projectId: scope.id,
      templateId: null,
      workflowEnvironmentId: null,
      nodeEnvironmentId: null,
      alias: null,
    };
    const layers = await loadVariableLayers(db.sql, secrets, base);
    const parsed = parseWorkflowFile(text, { ...options, ...textsOf(resolveVariables(layers).effective) });
    if (parsed.definition === null) return [...parsed.problems];
    const templateNames = await listTemplateNames(db.sql, scope.id);
    const { maximumTtlHours } = await scopeTtlSettings(db.sql, scope.id);
    const limits = { templateNames, fileName, runnable: runnableTypes(), maximumTtlHours };
    const problems = checkAgainstProject(parsed.definition, limits);
    if (problems.length > 0) return problems;
    const named = new Set(parsed.definition.nodes.flatMap(({ templateName }) => templateName ?? []));
    const templates = templateNames.filter(({ name, type }) => type === 'workflow' && named.has(name));
    const inner = (await resolver?.checkWorkflows({ project: scope, fileName, templates })) ?? [];
    if (inner.length > 0) return inner;
    const byName = new Map(templateNames.map((template) => [template.name, template.id]));
    const nodes = parsed.definition.nodes.filter((node) => !node.disabled);
    const layersOfAll = await loadLayersOfAll(
      db.sql,
      secrets,
      nodes.map((node) => ({ ...base, templateId: byName.get(node.templateName ?? '') ?? null })),
    );
    return checkNodeVariables(
      nodes.map((node, index) => ({ node, layers: layersOfAll[index] ?? [] })),
      { fileName },
    );
  }

  return {
    async validate({ actor, text, fileName, directory, project }: ValidateAsk): Promise<Validation> {
      const scope = project === undefined ? undefined : await findProject(db.sql, project, scopeOf(actor));
      if (scope) authorize(actor, 'view', scope.id);
      const { definition, problems } = parseWorkflowFile(text, { fileName, directory });
      if (definition === null) return { problems: [...problems], graph: null };
      const more = scope ? await againstProject(scope, text, { fileName, directory }) : [];
      if (more.length > 0) return { problems: more, graph: null };
      return {
        problems: [],
        graph: {
          nodes: definition.nodes.map((node) => ({
            alias: node.alias,
            within: [],
            name: node.name,
            environmentId: null,
            needs: [...node.needs],
            status: 'neverDeployed',
            disabled: node.disabled,
            drift: 'neverRun',
            stateUnverified: null,
            expiresAt: null,
            expiryHeld: null,
            templateName: node.templateName ?? null,
            type: node.inline?.type ?? null,
          })),
        },
      };
    },
  };
}
