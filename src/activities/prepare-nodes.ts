/** The nodes of a file as they will be run: each with its template, its code at a commit, and the snapshot that is kept. */
import type { SecretBox } from '../access/index.ts';
import type { FlatNode } from '../definition/index.ts';
import type { DeploymentRequest, NodeDefinition, NodeSnapshot, Source, VariableValue } from '../model/index.ts';
import { isMeant } from '../definition/index.ts';
import { secretContexts } from '../store/index.ts';
import type { KnownEnvironment } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';
import { templateOfNode } from './node-templates.ts';
import type { NodeTemplate, StoredTemplates } from './node-templates.ts';
import type { WorkflowFile } from './read-definition.ts';
import type { ReadGraph } from './read-graph.ts';
import { weighApproval } from './resolution.ts';
import type { ResolvingRun } from './resolution.ts';

export interface PreparedNode {
  readonly template: NodeTemplate;
  readonly snapshot: NodeSnapshot;
}

/** Finds each node's code at its commit; every distinct source is asked once. Answers the nodes by alias. */
export async function prepareNodes(
  deps: ResolveDeps,
  run: ResolvingRun,
  { nodes, single }: ReadGraph,
  from: { readonly stored: StoredTemplates; readonly known: ReadonlyMap<string, KnownEnvironment> },
): Promise<Map<string, PreparedNode>> {
  const commitOf = askedOnce(deps);
  const prepare = async (flat: FlatNode<WorkflowFile>): Promise<[string, PreparedNode]> => {
    const { definition: node, file, within } = flat;
    const { template, own } =
      single === null ? templateOfNode(node, file, from.stored) : { template: single, own: true };
    const { commit } = own && node.revision === undefined ? file : await commitOf(file, template.source, node.revision);
    const requiresApproval = weighApproval(run, {
      alias: node.alias,
      within,
      file: node.requiresApproval,
      record: from.known.get(node.alias),
    });
    const snapshot = makeSnapshot({ deploymentId: run.id, projectId: run.project_id }, deps.secrets, {
      ...{ node, within, template, commit, requiresApproval },
      workspace: node.workspace ?? run.workspace,
      request: run.request,
    });
    return [node.alias, { template, snapshot }];
  };
  return new Map(await Promise.all(nodes.map(prepare)));
}

function askedOnce(deps: ResolveDeps) {
  const asked = new Map<string, Promise<{ commit: string }>>();
  return (file: WorkflowFile, source: Source, revision: string | undefined): Promise<{ commit: string }> => {
    // What opens a source depends on the file that names it.
    const key = JSON.stringify([file.fileName, { ...source, path: '' }, revision ?? null]);
    const options = { revision: revision ?? null, credentials: file.credentialsFor(source) };
    const commit = asked.get(key) ?? deps.sources.resolve(source, options);
    asked.set(key, commit);
    return commit;
  };
}

/** Everything needed to run, undo or audit the node later. */
function makeSnapshot(
  owner: { readonly deploymentId: string; readonly projectId: string },
  secrets: SecretBox,
  input: {
    readonly node: NodeDefinition;
    readonly within: readonly string[];
    readonly template: NodeTemplate;
    readonly commit: string;
    readonly workspace: string | null;
    readonly request: DeploymentRequest;
    readonly requiresApproval: boolean | null;
  },
): NodeSnapshot {
  const { node, within, template, request } = input;
  const context = secretContexts.snapshot(owner.projectId);
  const seal = (sensitive: boolean, value: unknown): unknown =>
    sensitive ? secrets.seal(JSON.stringify(value), context) : value;
  const fromFile = node.variables.map((variable) => ({
    name: variable.name,
    kind: variable.kind,
    type: variable.type,
    sensitive: variable.sensitive,
    value: seal(variable.sensitive, variable.value) as NodeSnapshot['variables'][number]['value'],
    from: variable.inherited === true ? ('workflow' as const) : ('file' as const),
  }));
  // Sensitive values of a request were sealed for its run alone when it was recorded.
  const reseal = (sensitive: boolean, value: VariableValue): VariableValue =>
    sensitive && typeof value === 'string'
      ? secrets.seal(secrets.open(value, secretContexts.deployment(owner.deploymentId)), context)
      : value;
  const fromRequest = request.variables
    .filter(
      ({ value, alias }) =>
        value !== undefined && (alias === undefined || isMeant({ alias: node.alias, within }, alias)),
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
    ttlSeconds: node.ttlSeconds ?? null,
    redeploy: node.redeploy,
    inputs: node.inputs.map((input_) => ({
      name: input_.name,
      kind: input_.kind,
      type: input_.type ?? null,
      template: input_.template,
      whole: input_.whole !== undefined,
      references: input_.references.map(({ alias, output }) => ({ alias, output })),
      ...(input_.inherited === true ? { inherited: true as const } : {}),
    })),
    variables: [...fromFile, ...fromRequest],
    requiresApproval: input.requiresApproval,
    approvalInFile: node.requiresApproval ?? null,
    needs: [...node.needs],
    within: [...within],
  };
}
