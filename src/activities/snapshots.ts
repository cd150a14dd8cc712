import { posix } from 'node:path';
import type { SecretBox } from '../access/index.ts';
import type {
  DeploymentRequest,
  NodeDefinition,
  NodeSnapshot,
  NodeType,
  RetryRule,
  Source,
  TemplateConfig,
  VariableValue,
} from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { secretContexts } from '../store/index.ts';

/** What a node is made from: a stored template, or the block in the workflow file. */
export interface NodeTemplate {
  readonly id: string | null;
  readonly name: string;
  readonly type: NodeType;
  readonly source: Source;
  readonly config: TemplateConfig;
  readonly retryOnDeploy: RetryRule | null;
  readonly retryOnDestroy: RetryRule | null;
}

/** The source of the workflow file itself, at the commit of this run. */
export interface FileSource {
  readonly source: Source;
  readonly commit: string;
}

/** Code that lies beside the workflow file, as an ordinary source. */
export function besideFile(file: FileSource, path: string): Source {
  const joined = posix.normalize(posix.join(file.source.path, path));
  if (joined.startsWith('..') || posix.isAbsolute(joined)) {
    throw new WindlassError('invalidDefinition', `the path "${path}" leads out of the source directory`, {
      class: 'definition',
    });
  }
  return { ...file.source, path: joined };
}

/** Everything needed to run, undo or audit the node later. */
export function makeSnapshot(
  owner: { readonly deploymentId: string; readonly projectId: string },
  secrets: SecretBox,
  input: {
    readonly node: NodeDefinition;
    readonly template: NodeTemplate;
    readonly commit: string;
    readonly workspace: string | null;
    readonly request: DeploymentRequest;
    readonly requiresApproval: boolean | null;
  },
): NodeSnapshot {
  const { node, template, request } = input;
  const context = secretContexts.snapshot(owner.projectId);
  const seal = (sensitive: boolean, value: unknown): unknown =>
    sensitive ? secrets.seal(JSON.stringify(value), context) : value;
  const fromFile = node.variables.map((variable) => ({
    name: variable.name,
    kind: variable.kind,
    type: variable.type,
    sensitive: variable.sensitive,
    value: seal(variable.sensitive, variable.value) as NodeSnapshot['variables'][number]['value'],
    from: 'file' as const,
  }));
  // Sensitive values of a request were sealed for its run alone when it was recorded.
  const reseal = (sensitive: boolean, value: VariableValue): VariableValue =>
    sensitive && typeof value === 'string'
      ? secrets.seal(secrets.open(value, secretContexts.deployment(owner.deploymentId)), context)
      : value;
  const fromRequest = request.variables
    .filter(
      (variable) => variable.value !== undefined && (variable.alias === undefined || variable.alias === node.alias),
    )
    .map((variable) => ({
      name: variable.name,
      kind: variable.kind,
      type: variable.type,
      sensitive: variable.sensitive,
      value: reseal(variable.sensitive, variable.value ?? null),
      from: 'request' as const,
    }));
  return {
    type: template.type,
    templateId: template.id,
    templateName: template.name,
    source: template.source,
    commit: input.commit,
    workspace: input.workspace,
    config: template.config,
    retry: node.retry ?? template.retryOnDeploy,
    retryOnDestroy: node.retry ?? template.retryOnDestroy,
    timeoutSeconds: node.timeoutSeconds ?? template.config.timeoutSeconds ?? null,
    redeploy: node.redeploy,
    inputs: node.inputs.map((input_) => ({
      name: input_.name,
      kind: input_.kind,
      type: input_.type ?? null,
      template: input_.template,
      whole: input_.whole !== undefined,
      references: input_.references.map(({ alias, output }) => ({ alias, output })),
    })),
    variables: [...fromFile, ...fromRequest],
    requiresApproval: input.requiresApproval,
    approvalInFile: node.requiresApproval ?? null,
    needs: [...node.needs],
  };
}
