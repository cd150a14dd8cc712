import { checkNodeVariables, isMeant } from '../definition/index.ts';
import type { NodeDefinition, Problem } from '../model/index.ts';
import { loadLayersOfAll } from '../store/index.ts';
import type { EnclosingWorkflow, RunRow } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';
import { openedRequest } from './read-definition.ts';

/** A node that will run, as its variables are looked up. */
export interface CheckedNode {
  readonly node: NodeDefinition;
  /** Of the file it stands in; empty without one. */
  readonly fileName: string;
  readonly within: readonly string[];
  readonly groups: readonly EnclosingWorkflow[];
  readonly templateId: string | null;
  /** null when it is new, or no node of a graph. */
  readonly environmentId: string | null;
}

/** What is wrong with the variables of nodes, found before any of them runs. One query for all. */
export async function variableProblems(
  deps: ResolveDeps,
  run: RunRow,
  nodes: readonly CheckedNode[],
  options: { readonly workflow: boolean },
): Promise<Problem[]> {
  const { workflow } = options;
  const layers = await loadLayersOfAll(
    deps.db.sql,
    deps.secrets,
    nodes.map(({ node, groups, templateId, environmentId }) => ({
      organizationId: run.organization_id,
      projectId: run.project_id,
      templateId,
      workflowTemplateId: workflow ? run.template_id : null,
      workflowEnvironmentId: run.environment_id,
      nodeEnvironmentId: workflow ? environmentId : null,
      alias: workflow ? node.alias : null,
      groups,
    })),
  );
  const requested = openedRequest(deps, run);
  const checked = nodes.map(({ node, within, fileName }, index) => ({
    node,
    fileName,
    layers: layers[index] ?? [],
    requested: requested.filter(
      ({ alias, value }) =>
        value !== undefined && (alias === undefined || isMeant({ alias: node.alias, within }, alias)),
    ),
  }));
  const files = [...new Set(nodes.map(({ fileName }) => fileName))];
  return files.flatMap((fileName) =>
    checkNodeVariables(
      checked.filter((node) => node.fileName === fileName),
      { fileName },
    ),
  );
}
