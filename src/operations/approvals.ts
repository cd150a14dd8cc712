import type { Approval, ApprovalEnvelope, Decision, Page } from '../model/index.ts';
import { WindlassError, messageOf } from '../model/index.ts';
import {
  decideApproval,
  findDeployment,
  findEnvironment,
  getApproval,
  getEnvironment,
  listApprovals as readApprovals,
} from '../store/index.ts';
import type { DecidedApproval, PageRequest } from '../store/index.ts';
import { audit, authorize, namedScope, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';

export interface DecisionAsk extends Asked {
  readonly id: string;
  readonly decision: 'approve' | 'reject';
  readonly comment?: string | undefined;
  readonly envelope?: ApprovalEnvelope | undefined;
}

/** A recorded decision. `warning` says that the run has not heard of it yet; it is told again until it has. */
export interface DecisionAnswer {
  readonly approval: Approval;
  readonly warning: string | null;
}

/** Tells the waiting node. Telling it twice changes nothing. */
export async function deliverDecision(
  context: Context,
  decided: Pick<DecidedApproval, 'approval' | 'compensation'>,
  decision: Decision,
): Promise<void> {
  const { approval, compensation } = decided;
  await context.temporal.decide({ deploymentId: approval.deploymentId, alias: approval.alias, compensation }, decision);
}

/** Decisions on plans. */
export function approvalOperations(context: Context) {
  const { db } = context;
  return {
    async listApprovals({
      actor,
      deployment,
      environment,
      project,
      ...filter
    }: Asked &
      PageRequest & {
        deployment?: string | undefined;
        environment?: string | undefined;
        project?: string | undefined;
        status?: Approval['status'] | undefined;
      }): Promise<Page<Approval>> {
      const scope = await namedScope(db.sql, actor, project);
      const run = deployment === undefined ? undefined : await findDeployment(db.sql, deployment, scope);
      const place = environment === undefined ? undefined : await findEnvironment(db.sql, environment, scope);
      return readApprovals(db.sql, scope, { ...filter, deploymentId: run?.id, environmentId: place?.id });
    },

    async getApproval({ actor, id }: Asked & { id: string }): Promise<Approval> {
      const approval = await getApproval(db.sql, id, scopeOf(actor));
      authorize(actor, 'view', (await getEnvironment(db.sql, approval.environmentId)).projectId);
      return approval;
    },

    /** Records one person's word and tells the node that waits. The same word again changes nothing. */
    async decide({ actor, id, decision, comment, envelope }: DecisionAsk): Promise<DecisionAnswer> {
      const { projectId } = await getEnvironment(db.sql, (await getApproval(db.sql, id, scopeOf(actor))).environmentId);
      authorize(actor, 'approve', projectId);
      if (decision === 'reject' && envelope !== undefined) {
        throw new WindlassError('invalidInput', 'A rejection has no bounds for later nodes', {
          problems: [{ path: 'envelope', message: 'is for approvals' }],
        });
      }
      const decided = await db.transaction(async (tx) => {
        const result = await decideApproval(tx, { approvalId: id, actor, decision, comment, envelope });
        if (!result.repeated) {
          await audit(tx, actor, {
            action: `approval.${decision}`,
            targetType: 'approval',
            targetId: id,
            projectId,
            after: {
              deployment: result.deploymentId,
              alias: result.approval.alias,
              status: result.approval.status,
              comment,
              envelope,
            },
          });
        }
        return result;
      });
      try {
        await deliverDecision(context, decided, {
          approvalId: id,
          decision,
          by: actor.name,
          complete: decided.complete,
          ...(comment === undefined ? {} : { comment }),
        });
      } catch (thrown) {
        if (!(thrown instanceof WindlassError)) throw thrown;
        if (thrown.code === 'unavailable') {
          return {
            approval: decided.approval,
            warning: `The decision is recorded; the run hears of it when Temporal is back: ${messageOf(thrown)}`,
          };
        }
        // A repeat comes after the node has gone on: it has heard of it.
        if (!decided.repeated) throw thrown;
      }
      return { approval: decided.approval, warning: null };
    },
  };
}
