import type { NodeRun, NodeSnapshot, NodeStatus, VariableInput } from '../model/index.ts';
import { WindlassError, isTerminalDeployment } from '../model/index.ts';
import {
  findDeployment,
  getEnvironment,
  getNodeRun,
  lockNodeSnapshot,
  saveNodeSnapshot,
  secretContexts,
} from '../store/index.ts';
import { audit, authorize, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';
import { checkVariables } from './deployment-request.ts';
import { requireSteering } from './variable-names.ts';

interface NodeVariablesAsk extends Asked {
  /** Of the deployment. */
  readonly ref: string;
  readonly alias: string;
  readonly variables: readonly VariableInput[];
}

/** Why a node in this status takes no other variables; null when its next try reads them. */
function refusal(alias: string, status: NodeStatus): { readonly message: string; readonly hint: string } | null {
  switch (status) {
    case 'succeeded':
      return { message: `"${alias}" has succeeded in this run`, hint: 'deploy the node again with the variable' };
    case 'waitingForApproval':
      return {
        message: `"${alias}" waits for approval of a plan that was made without the variable`,
        hint: 'reject the plan, give the variable, then retry the node',
      };
    default:
      return null;
  }
}

/** Repairing a run while it runs. */
export function nodeVariableOperations(context: Context) {
  const { db, secrets } = context;
  return {
    /**
     * Gives a node of a running deployment other variables, for this run only and from its next try on. They win over all
     * others; one of the same kind and name is replaced. Throws `conflict` when nothing would read them.
     */
    async setNodeVariables({ actor, ref, alias, variables }: NodeVariablesAsk): Promise<NodeRun> {
      const deployment = await findDeployment(db.sql, ref, scopeOf(actor));
      const { projectId } = await getEnvironment(db.sql, deployment.environmentId);
      authorize(actor, 'execute', projectId);
      checkVariables([...variables]);
      requireSteering(
        actor,
        projectId,
        variables.map(({ name, kind }, index) => ({ name, kind, path: `variables[${index}]` })),
      );
      const stranger = variables.find((variable) => variable.alias !== undefined && variable.alias !== alias);
      if (stranger !== undefined) {
        throw new WindlassError(
          'invalidInput',
          `"${stranger.name}" is for the node "${stranger.alias}", but the request is for "${alias}"`,
          {
            hint: 'leave alias out',
          },
        );
      }
      const { index } = await getNodeRun(db.sql, { deploymentId: deployment.id, alias });
      if (isTerminalDeployment(deployment.status)) {
        throw new WindlassError(
          'conflict',
          `Deployment ${deployment.number} of "${deployment.environmentName}" is over`,
          {
            hint: `deploy the node with the variable: windlass deploy "${deployment.environmentName}/${alias}" --var NAME=VALUE`,
          },
        );
      }
      const seal = (sensitive: boolean, value: VariableInput['value']) =>
        sensitive ? secrets.seal(JSON.stringify(value), secretContexts.snapshot(projectId)) : (value ?? null);
      const given = variables.map(({ name, kind, type, sensitive, value }): NodeSnapshot['variables'][number] => {
        return { name, kind, type, sensitive, value: seal(sensitive, value), from: 'request' };
      });
      await db.transaction(async (tx) => {
        const key = { deploymentId: deployment.id, index };
        const node = await lockNodeSnapshot(tx, key);
        const refused = node === null ? null : refusal(alias, node.status);
        if (refused !== null) throw new WindlassError('conflict', refused.message, { hint: refused.hint });
        const snapshot = node?.snapshot ?? null;
        if (snapshot === null || snapshot.resolved !== undefined) {
          throw new WindlassError(
            'conflict',
            `"${alias}" runs with the variables of an earlier deployment, which is what a rollback is`,
            {
              hint: 'deploy the node with the variable when the rollback is over',
            },
          );
        }
        const isGiven = (known: { name: string; kind: string }): boolean =>
          given.some(({ name, kind }) => name === known.name && kind === known.kind);
        const kept = snapshot.variables.filter((known) => known.from !== 'request' || !isGiven(known));
        const patched: NodeSnapshot = { ...snapshot, variables: [...kept, ...given] };
        await saveNodeSnapshot(tx, key, patched);
        await audit(tx, actor, {
          action: 'deployment.node.variables',
          targetType: 'deployment',
          targetId: deployment.id,
          projectId,
          after: {
            alias,
            variables: given.map(({ name, kind, type, sensitive, value }) => ({
              name,
              kind,
              type,
              sensitive,
              ...(sensitive ? {} : { value }),
            })),
          },
        });
      });
      return getNodeRun(db.sql, { deploymentId: deployment.id, alias });
    },
  };
}
