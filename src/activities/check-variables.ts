import { checkNodeVariables } from '../definition/index.ts';
import type { NodeDefinition, Problem } from '../model/index.ts';
import { loadLayersOfAll } from '../store/index.ts';
import type { RunRow } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';
import { openedRequest } from './read-definition.ts';

/** A node that will run, as its variables are looked up. */
export interface CheckedNode {
  readonly node: NodeDefinition;
  readonly templateId: string | null;
  /** null when it is new, or no node of a graph. */
  readonly environmentId: string | null;
}

/** What is wrong with the variables of nodes, found before any of them runs. One query for all. */
export async function variableProblems(
  deps: ResolveDeps,
  run: RunRow,
  nodes: readonly CheckedNode[],
  options: { readonly fileName: string; readonly workflow: boolean },
): Promise<Problem[]> {
  const { workflow } = options;
  const layers = await loadLayersOfAll(
    deps.db.sql,
    deps.secrets,
    nodes.map(({ node, templateId, environmentId }) => ({
      organizationId: run.organization_id,
      projectId: run.project_id,
      templateId,
      workflowTemplateId: workflow ? run.template_id : null,
      workflowEnvironmentId: run.environment_id,
      nodeEnvironmentId: workflow ? environmentId : null,
      alias: workflow ? node.alias : null,
    })),
  );
  const requested = openedRequest(deps, run);
  return checkNodeVariables(
    nodes.map(({ node }, index) => ({
      node,
      layers: layers[index] ?? [],
      requested: requested.filter(
        ({ alias, value }) => value !== undefined && (alias === undefined || alias === node.alias),
      ),
    })),
    options,
  );
}
