import { posix } from 'node:path';
import { parseWorkflowFile, resolveVariables, textsOf } from '../definition/index.ts';
import type { GitCredentials } from '../sources/index.ts';
import { credentialsOf, readTextFile, resolvePath } from '../sources/index.ts';
import type { EffectiveVariable, Source, VariableInput, VariableValue, WorkflowDefinition } from '../model/index.ts';
import { inlineTemplateSchema, WindlassError } from '../model/index.ts';
import { findTemplateById, loadVariableLayers, secretContexts } from '../store/index.ts';
import type { RunRow } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';
import type { FileSource, NodeTemplate } from './snapshots.ts';

/** File names that are looked for, in this order, when the template does not name one. */
const fileNames = ['windlass.workflow.yml', 'windlass.workflow.yaml', 'env0.workflow.yml', 'env0.workflow.yaml'];
const maximumFileBytes = 1024 * 1024;

export interface DefinitionAtCommit {
  readonly definition: WorkflowDefinition;
  readonly fileName: string;
  readonly file: FileSource;
  /** Set when the environment is one stack without a workflow file. */
  readonly single: NodeTemplate | null;
  readonly credentialsFor: (source: Source) => GitCredentials | undefined;
}

/** The template of an environment: stored, or written in the file that made it. */
export async function templateOfNode(
  deps: ResolveDeps,
  environment: {
    readonly template_id: string | null;
    readonly inline_template: unknown;
    readonly environment_name: string;
  },
): Promise<NodeTemplate> {
  if (environment.template_id !== null) {
    const template = await findTemplateById(deps.db.sql, environment.template_id);
    return {
      id: template.id,
      name: template.name,
      type: template.type,
      source: template.source,
      config: template.config,
      retryOnDeploy: template.retryOnDeploy,
      retryOnDestroy: template.retryOnDestroy,
    };
  }
  const inline = inlineTemplateSchema.parse(environment.inline_template);
  return { id: null, name: environment.environment_name, ...inline, retryOnDeploy: null, retryOnDestroy: null };
}

/** Reads and checks the workflow file at the commit of this run; for a single stack, makes a graph of one node. */
export async function readDefinition(
  deps: ResolveDeps,
  run: RunRow,
  template: NodeTemplate,
): Promise<DefinitionAtCommit> {
  const variables = await environmentVariables(deps, run);
  const credentialsFor = (source: Source): GitCredentials | undefined => credentialsOf(source, variables);
  const revision = run.request.revision ?? run.revision;
  const { commit } = await deps.sources.resolve(template.source, {
    revision,
    credentials: credentialsFor(template.source),
  });
  if (template.type !== 'workflow') {
    const definition = singleNode(run, template);
    const file = { source: template.source, commit };
    return {
      definition,
      fileName: '',
      file,
      single: template,
      credentialsFor,
    };
  }
  const root = await deps.sources.checkout(template.source, commit, { credentials: credentialsFor(template.source) });
  const { fileName, directory, text } = await findFile(root, template);
  const parsed = parseWorkflowFile(text, { fileName, directory, ...textsOf(variables) });
  if (parsed.definition === null) {
    const first = parsed.problems[0]?.message ?? 'it is not a workflow file';
    throw new WindlassError(
      'invalidDefinition',
      `${fileName} has ${parsed.problems.length === 1 ? 'a problem' : `${parsed.problems.length} problems`}: ${first}`,
      {
        class: 'definition',
        problems: parsed.problems,
        hint: 'correct the file and deploy again; nothing was run',
      },
    );
  }
  const file = { source: { ...template.source, path: directory }, commit };
  return {
    definition: parsed.definition,
    fileName,
    file,
    single: null,
    credentialsFor,
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

function singleNode(run: RunRow, template: NodeTemplate): WorkflowDefinition {
  return {
    settings: {
      environmentRemovalStrategy: 'detach',
      onFailure: 'continue',
      maxParallel: undefined,
      schedule: undefined,
      drift: undefined,
    },
    nodes: [
      {
        alias: 'main',
        name: run.environment_name,
        templateName: undefined,
        inline: { type: template.type, source: template.source, config: template.config },
        needs: [],
        revision: undefined,
        workspace: run.workspace ?? undefined,
        requiresApproval: undefined,
        disabled: false,
        variables: [],
        inputs: [],
        redeploy: 'always',
        timeoutSeconds: undefined,
        retry: undefined,
        ttlSeconds: undefined,
        barriers: [],
        position: undefined,
      },
    ],
  };
}

/** Environment variables in force for the whole workflow when the run starts. */
async function environmentVariables(deps: ResolveDeps, run: RunRow): Promise<EffectiveVariable[]> {
  const stored = await loadVariableLayers(deps.db.sql, deps.secrets, {
    organizationId: run.organization_id,
    projectId: run.project_id,
    templateId: run.template_id,
    workflowEnvironmentId: run.environment_id,
    nodeEnvironmentId: null,
    alias: null,
  });
  const requested = openedRequest(deps, run).filter((variable) => variable.alias === undefined);
  const { effective } = resolveVariables([...stored, { level: 'deployment', variables: requested }]);
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
export async function sourceCredentials(
  deps: ResolveDeps,
  run: RunRow,
): Promise<(source: Source) => GitCredentials | undefined> {
  const variables = await environmentVariables(deps, run);
  return (source) => credentialsOf(source, variables);
}
