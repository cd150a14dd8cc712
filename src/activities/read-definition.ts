/** Reading one workflow file at its commit, with the variables that are in force for it. */
import { posix } from 'node:path';
import { parseWorkflowFile, resolveVariables, textsOf } from '../definition/index.ts';
import type { ParsedWorkflowFile, VariableLayer } from '../definition/index.ts';
import type { GitCredentials } from '../sources/index.ts';
import { credentialsOf, readTextFile, resolvePath } from '../sources/index.ts';
import type { EffectiveVariable, NodeDefinition, Source, VariableInput, VariableValue } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { loadVariableLayers, secretContexts } from '../store/index.ts';
import type { EnclosingWorkflow, RunRow } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';
import type { FileSource, NodeTemplate } from './node-templates.ts';

/** File names that are looked for, in this order, when the template does not name one. */
const fileNames = ['windlass.workflow.yml', 'windlass.workflow.yaml', 'env0.workflow.yml', 'env0.workflow.yaml'];
const maximumFileBytes = 1024 * 1024;

/** Where nodes stand, and what opens the sources they name. */
export interface WorkflowFile extends FileSource {
  /** For people: its name, after its directory when it is one of several. */
  readonly fileName: string;
  readonly credentialsFor: CredentialsFor;
}
export type CredentialsFor = (source: Source) => GitCredentials | undefined;

/** What lies around the nodes of an inner file. */
export interface Surroundings {
  /** The workflows of the graph that they are in, outermost first. */
  readonly workflows: readonly EnclosingWorkflow[];
  /** What the files around give the node that stands for the file. */
  readonly variables: NodeDefinition['variables'];
}

/** Reads the file of a workflow template. Its problems are answered, those of its source are thrown. */
export async function readWorkflowFile(
  deps: ResolveDeps,
  at: {
    readonly template: NodeTemplate;
    readonly commit: string;
    /** Environment variables in force for the file. */
    readonly variables: readonly EffectiveVariable[];
    /** Opens the source of the template. */
    readonly credentials: GitCredentials | undefined;
    /** What stands before the name of a file that is not the only one. */
    readonly under?: string | undefined;
  },
): Promise<{ readonly file: WorkflowFile; readonly parsed: ParsedWorkflowFile }> {
  const { template, commit, variables, credentials } = at;
  const root = await deps.sources.checkout(template.source, commit, { credentials });
  const { fileName, directory, text } = await findFile(root, template);
  const shown = at.under === undefined ? fileName : posix.join(at.under, fileName);
  return {
    file: {
      fileName: shown,
      source: { ...template.source, path: directory },
      commit,
      credentialsFor: (source) => credentialsOf(source, variables),
    },
    parsed: parseWorkflowFile(text, { fileName: shown, directory, ...textsOf(variables) }),
  };
}

async function findFile(
  root: string,
  template: NodeTemplate,
): Promise<{ fileName: string; directory: string; text: string }> {
  const named = template.config.fileName;
  const at = template.source.path;
  if (/\.ya?ml$/.test(at))
    return {
      fileName: posix.basename(at),
      directory: posix.dirname(at),
      text: await readTextFile(root, at, maximumFileBytes),
    };
  await resolvePath(root, at);
  for (const fileName of named === undefined ? fileNames : [named]) {
    const text = await readTextFile(root, posix.join(at, fileName), maximumFileBytes).catch((error: unknown) => {
      if (error instanceof WindlassError && error.code === 'notFound') return null;
      throw error;
    });
    if (text !== null) return { fileName, directory: at, text };
  }
  throw new WindlassError(
    'notFound',
    `there is no ${named ?? fileNames.join(' or ')} in "${at}" of the template "${template.name}"`,
    {
      class: 'definition',
      hint: 'check the path of the template, or make a file with `windlass init`',
    },
  );
}

/**
 * Environment variables in force for a whole file when its run starts: for the outermost one, or for that of a workflow in
 * the graph, which also has what the file around gives its node.
 */
export async function environmentVariables(
  deps: ResolveDeps,
  run: RunRow,
  around: Surroundings | null = null,
): Promise<EffectiveVariable[]> {
  const workflows = around?.workflows ?? [];
  const stored = await loadVariableLayers(deps.db.sql, deps.secrets, {
    organizationId: run.organization_id,
    projectId: run.project_id,
    templateId: run.template_id,
    workflowTemplateId: run.template_id,
    workflowEnvironmentId: run.environment_id,
    nodeEnvironmentId: null,
    alias: null,
    groups: workflows,
  });
  const given: VariableLayer[] = around === null ? [] : [{ level: 'workflow', variables: around.variables }];
  const paths = workflows.map(({ alias }) => alias);
  const requested = openedRequest(deps, run).filter(({ alias }) => alias === undefined || paths.includes(alias));
  const { effective } = resolveVariables([...stored, ...given, { level: 'deployment', variables: requested }]);
  return effective.filter((variable) => variable.kind === 'environment');
}

/** Variables of the request, decrypted. */
export function openedRequest(deps: ResolveDeps, run: RunRow): VariableInput[] {
  const context = secretContexts.deployment(run.id);
  return run.request.variables.map((variable) =>
    variable.sensitive && typeof variable.value === 'string'
      ? { ...variable, value: JSON.parse(deps.secrets.open(variable.value, context)) as VariableValue }
      : variable,
  );
}

/** What opens each source, with the variables that are in force now. */
export async function sourceCredentials(deps: ResolveDeps, run: RunRow): Promise<CredentialsFor> {
  const variables = await environmentVariables(deps, run);
  return (source) => credentialsOf(source, variables);
}
