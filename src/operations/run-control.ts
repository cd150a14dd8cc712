import type { Actor, ControlRequest, Deployment, StopMode } from '../model/index.ts';
import { WindlassError, assertNever, isTerminalDeployment } from '../model/index.ts';
import { findDeployment, getDeployment, getEnvironment, getNodeRun, readDeploymentRequest } from '../store/index.ts';
import type { Permission } from '../access/index.ts';
import { audit, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';
import { authorizeAny, lastSuccessBefore } from './deployment-request.ts';
import { chooseResume } from './resume.ts';
import { dropQueued, requestOperations, withUrl } from './request-deployment.ts';
import type { RequestedDeployment } from './request-deployment.ts';

export interface StopAsk extends Asked {
  readonly ref: string;
  readonly reason?: string | undefined;
}

const permissionsFor: Readonly<
  Record<StopMode | 'pause' | 'continue' | 'retry' | 'skip' | 'resume', readonly Permission[]>
> = {
  cancel: ['execute', 'abort'],
  abort: ['abort'],
  rollback: ['execute', 'rollback'],
  pause: ['execute'],
  continue: ['execute'],
  retry: ['execute'],
  skip: ['execute'],
  resume: ['execute'],
};

/** `Deployment 7 of "shop"`. */
function nameOf({ number, environmentName }: Deployment): string {
  return `Deployment ${number} of "${environmentName}"`;
}

/** Endings that a stop verb leads to: asking again for what has happened changes nothing. */
const endings: Readonly<Record<StopMode, readonly Deployment['status'][]>> = {
  cancel: ['cancelled'],
  abort: ['aborted'],
  rollback: ['rolledBack', 'rollingBack'],
};

function alreadyOver(deployment: Deployment): WindlassError {
  return new WindlassError(
    'conflict',
    `${nameOf(deployment)} is over: it ${deployment.status === 'failed' ? 'failed' : `is ${deployment.status}`}`,
    {
      hint: deployment.status === 'failed' ? 'resume it, or roll it back' : 'nothing is left to be stopped',
    },
  );
}

/** Requests to runs that are queued or in progress, and what can be done with finished ones. */
export function controlOperations(context: Context) {
  const { db, temporal } = context;
  const { requestDeployment } = requestOperations(context);

  async function load(
    ref: string,
    actor: Actor,
    verb: keyof typeof permissionsFor,
  ): Promise<{ deployment: Deployment; projectId: string }> {
    const deployment = await findDeployment(db.sql, ref, scopeOf(actor));
    const { projectId } = await getEnvironment(db.sql, deployment.environmentId);
    authorizeAny(actor, permissionsFor[verb], projectId);
    return { deployment, projectId };
  }

  async function control(ask: {
    actor: Actor;
    deployment: Deployment;
    projectId: string;
    request: ControlRequest;
  }): Promise<Deployment> {
    const { actor, deployment, projectId, request } = ask;
    await temporal.control(deployment.id, request);
    await audit(db.sql, actor, {
      action: `deployment.${request.kind}`,
      targetType: 'deployment',
      targetId: deployment.id,
      projectId,
      after: request,
    });
    return withUrl(context, await getDeployment(db.sql, deployment.id));
  }

  /** A run that has not begun is taken out of the queue; one that just began is stopped like any other. */
  async function stopQueued(ask: {
    actor: Actor;
    deployment: Deployment;
    projectId: string;
    mode: StopMode;
    reason?: string | undefined;
  }): Promise<Deployment> {
    const { actor, deployment, projectId, mode, reason } = ask;
    if (!(await temporal.cancelQueued(deployment.environmentId, deployment.id))) {
      try {
        return await control({
          actor,
          deployment,
          projectId,
          request: { kind: mode, by: actor.name, ...(reason ? { reason } : {}) },
        });
      } catch (thrown) {
        if (!(thrown instanceof WindlassError) || thrown.code !== 'conflict') throw thrown;
        // Temporal has never heard of it.
        await dropQueued(context, deployment, `cancelled by ${actor.name} before it was sent`);
      }
    }
    await audit(db.sql, actor, {
      action: 'deployment.cancel',
      targetType: 'deployment',
      targetId: deployment.id,
      projectId,
      after: { queued: true, ...(reason ? { reason } : {}) },
    });
    return withUrl(context, await getDeployment(db.sql, deployment.id));
  }

  async function stop({ actor, ref, reason }: StopAsk, mode: StopMode): Promise<Deployment> {
    const { deployment, projectId } = await load(ref, actor, mode);
    if (endings[mode].includes(deployment.status)) return withUrl(context, deployment);
    switch (deployment.status) {
      case 'queued':
        return stopQueued({ actor, deployment, projectId, mode, reason });
      case 'running':
      case 'stopping':
      case 'rollingBack':
        return control({
          actor,
          deployment,
          projectId,
          request: { kind: mode, by: actor.name, ...(reason ? { reason } : {}) },
        });
      case 'succeeded':
      case 'failed':
      case 'cancelled':
      case 'aborted':
      case 'rolledBack':
      case 'rollbackFailed':
        throw alreadyOver(deployment);
      default:
        return assertNever(deployment.status, 'status of a deployment');
    }
  }

  async function onNode(
    { actor, ref, alias }: Asked & { ref: string; alias: string },
    kind: 'retry' | 'skip',
  ): Promise<Deployment> {
    const { deployment, projectId } = await load(ref, actor, kind);
    const node = await getNodeRun(db.sql, { deploymentId: deployment.id, alias });
    if (isTerminalDeployment(deployment.status)) {
      throw new WindlassError(
        'conflict',
        `${nameOf(deployment)} is over; "${node.alias}" cannot be ${kind === 'retry' ? 'tried again' : 'skipped'} in it`,
        {
          hint: `resume the deployment, or deploy the node: windlass deploy ${deployment.environmentName}/${node.alias}`,
        },
      );
    }
    return control({
      actor,
      deployment,
      projectId,
      request: { kind, alias: node.alias, by: actor.name, recorded: node.status },
    });
  }

  return {
    /** Drops what is queued or waiting; tools that are changing something finish. Cancelling twice changes nothing. */
    cancelDeployment: (ask: StopAsk): Promise<Deployment> => stop(ask, 'cancel'),
    /** Interrupts running tools and takes nothing back. */
    abortDeployment: (ask: StopAsk): Promise<Deployment> => stop(ask, 'abort'),

    /** Takes back what a running deployment began to change; of a finished one, by a new deployment to the last success before it. */
    async rollbackDeployment({
      actor,
      ref,
      reason,
      idempotencyKey,
    }: StopAsk & { idempotencyKey?: string | undefined }): Promise<RequestedDeployment> {
      const { deployment, projectId } = await load(ref, actor, 'rollback');
      if (deployment.status === 'queued') {
        throw new WindlassError('conflict', `${nameOf(deployment)} has not begun: there is nothing to take back`, {
          hint: 'cancel it',
        });
      }
      // It is taken back already. A repeated call must not go back further.
      if (deployment.status === 'rolledBack') return { deployment: withUrl(context, deployment), warning: null };
      if (!isTerminalDeployment(deployment.status)) {
        if (deployment.type === 'plan' || deployment.type === 'drift') {
          throw new WindlassError(
            'conflict',
            `A ${deployment.type} changes nothing, so there is nothing to take back`,
            { hint: 'cancel it' },
          );
        }
        return { deployment: await stop({ actor, ref: deployment.id, reason }, 'rollback'), warning: null };
      }
      const target = await lastSuccessBefore(db.sql, deployment);
      authorizeAny(actor, permissionsFor.rollback, projectId);
      return requestDeployment({
        actor,
        environment: deployment.environmentId,
        request: { type: 'rollback', rollbackTo: target, ...(reason ? { comment: reason } : {}) },
        trigger: 'api',
        idempotencyKey,
      });
    },

    /** Starts nothing new; what runs goes on. */
    async pauseDeployment({ actor, ref }: Asked & { ref: string }): Promise<Deployment> {
      const { deployment, projectId } = await load(ref, actor, 'pause');
      if (isTerminalDeployment(deployment.status)) throw alreadyOver(deployment);
      return control({ actor, deployment, projectId, request: { kind: 'pause', by: actor.name } });
    },

    async continueDeployment({ actor, ref }: Asked & { ref: string }): Promise<Deployment> {
      const { deployment, projectId } = await load(ref, actor, 'continue');
      if (isTerminalDeployment(deployment.status)) throw alreadyOver(deployment);
      return control({ actor, deployment, projectId, request: { kind: 'continue', by: actor.name } });
    },

    /** A new deployment of the failed and skipped nodes of a finished one, with what that one was asked with. */
    async resumeDeployment({
      actor,
      ref,
      refresh,
      mayDestroy,
      idempotencyKey,
    }: Asked & {
      ref: string;
      /** Undefined leaves it to what has changed since. */
      refresh?: boolean | undefined;
      /** Undefined leaves it as it was asked for then; null lets anything go. */
      mayDestroy?: string[] | null | undefined;
      idempotencyKey?: string | undefined;
    }): Promise<RequestedDeployment> {
      const { deployment } = await load(ref, actor, 'resume');
      const choice = await chooseResume(context, deployment, refresh);
      const {
        partial: _partial,
        resume: _resume,
        rollbackTo: _rollbackTo,
        ...request
      } = await readDeploymentRequest(db.sql, context.secrets, deployment.id);
      const asked = await requestDeployment({
        actor,
        environment: deployment.environmentId,
        request: {
          ...request,
          type: 'deploy',
          resume: { deployment: deployment.id, refresh: choice.refresh },
          ...(mayDestroy === undefined ? {} : { mayDestroy: mayDestroy ?? undefined }),
        },
        trigger: 'api',
        idempotencyKey,
      });
      return { ...asked, warning: asked.warning ?? choice.warning };
    },

    retryNode: (ask: Asked & { ref: string; alias: string }): Promise<Deployment> => onNode(ask, 'retry'),
    skipNode: (ask: Asked & { ref: string; alias: string }): Promise<Deployment> => onNode(ask, 'skip'),
  };
}
