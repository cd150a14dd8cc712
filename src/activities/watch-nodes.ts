import { Context } from '@temporalio/activity';
import { isGrpcServiceError } from '@temporalio/client';
import type { DeploymentActivities, NodeResult, WatchedNode } from '../model/index.ts';
import { messageOf, workflowIds } from '../model/index.ts';
import { loadEngineNodes } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';

/** Those that end within this of the first are answered together. */
const gatherMs = 200;

/** See DeploymentActivities.watchNodes. */
export async function watchNodes(
  deps: ActivityDeps,
  input: Parameters<DeploymentActivities['watchNodes']>[0],
): Promise<WatchedNode[]> {
  const context = Context.current();
  const ended: WatchedNode[] = [];
  const nodes = await loadEngineNodes(deps.db.sql, input.deploymentId);
  const waits = input.indexes.map(async (index) => {
    const alias = nodes[index]?.alias ?? '';
    const id = workflowIds.node(input.deploymentId, alias, input.compensation === true);
    ended.push({ index, result: await resultOf(deps, id) });
  });
  for (const wait of waits) wait.catch(() => undefined);
  await Promise.race([...waits, context.cancelled]);
  await new Promise((resolve) => setTimeout(resolve, gatherMs));
  return [...ended];
}

async function resultOf(deps: ActivityDeps, workflowId: string): Promise<NodeResult> {
  try {
    return (await deps.temporal.workflow.getHandle(workflowId).result()) as NodeResult;
  } catch (error) {
    // The server is away: the whole call is tried again.
    if (isGrpcServiceError(error)) throw error;
    return {
      status: 'failed',
      class: 'internal',
      message: `its workflow ended from outside: ${messageOf(error)}`,
      changedState: true,
    };
  }
}
