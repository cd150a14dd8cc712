import type { Actor, ControlRequest, Deployment, Permission, StopMode } from '../model/index.ts';
import { assertNever, isReadOnly, isTerminalDeployment, messageOf, WindlassError } from '../model/index.ts';
import {
  findDeployment,
  getDeployment,
  getEnvironment,
  getNodeRun,
  insertControlRequest,
  readDeploymentRequest,
  settleControlRequest,
} from '../store/index.ts';

import { audit, plainActor, scopeOf } from './context.ts';
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

interface ControlAsk {
  readonly actor: Actor;
  readonly deployment: Deployment;
  readonly projectId: string;
  readonly request: ControlRequest;
}

function stopRequest(kind: StopMode, { name: by }: Actor, reason: string | undefined): ControlRequest {
  return { kind, by, ...(reason ? { reason } : {}) };
}

const isConflict = (thrown: unknown): boolean => thrown instanceof WindlassError && thrown.code === 'conflict';

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

  /** Writes down what is asked, and by whom: the run acts on that record, and Temporal only carries its id. */
  async function record({ actor, deployment, projectId, request }: ControlAsk): Promise<string> {
    return db.transaction(async (tx) => {
      const id = await insertControlRequest(tx, {
        deploymentId: deployment.id,
        actor: plainActor(actor),
        request,
      });
      await audit(tx, actor, {
        action: `deployment.${request.kind}`,
        targetType: 'deployment',
        targetId: deployment.id,
        projectId,
        after: { request: id, ...request },
      });
      return id;
    });
  }

  /** Tells the run. What it refuses, or does not hear in time, is not done later either: whoever asked is told so. */
  async function deliver(ask: ControlAsk, requestId: string): Promise<void> {
    try {
      await temporal.control(ask.deployment.id, { ...ask.request, requestId });
    } catch (thrown) {
      const withdrawn = await withdraw(ask, requestId, thrown);
      // Otherwise the run has acted on it, and only its answer was lost.
      if (withdrawn || isConflict(thrown)) throw thrown;
    }
  }

  /** False when the run has taken the request before. */
  async function withdraw(ask: ControlAsk, requestId: string, thrown: unknown): Promise<boolean> {
    const reason = messageOf(thrown);
    return db.transaction(async (tx) => {
      const open = await settleControlRequest(tx, requestId, { status: 'refused', refusal: reason });
      if (open || isConflict(thrown))
        await audit(tx, ask.actor, {
          action: `deployment.${ask.request.kind}.refused`,
          targetType: 'deployment',
          targetId: ask.deployment.id,
          projectId: ask.projectId,
          after: { request: requestId, reason },
        });
      return open;
    });
  }

  async function control(ask: ControlAsk): Promise<Deployment> {
    await deliver(ask, await record(ask));
    return withUrl(context, await getDeployment(db.sql, ask.deployment.id));
  }

  /** A run that has not begun is taken out of the queue; one that just began is stopped like any other. */
  async function stopQueued(ask: ControlAsk): Promise<Deployment> {
    const { actor, deployment, request } = ask;
    const requestId = await record(ask);
    const { id, environmentId } = deployment;
    try {
      if (!(await temporal.cancelQueued(environmentId, { deploymentId: id, requestId })))
        await temporal.control(id, { ...request, requestId });
    } catch (thrown) {
      if (isConflict(thrown)) {
        // Temporal has never heard of it.
        await dropQueued(context, deployment, `cancelled by ${actor.name} before it was sent`);
        await settleControlRequest(db.sql, requestId, { status: 'taken', by: 'api' });
      } else if (await withdraw(ask, requestId, thrown)) throw thrown;
    }
    return withUrl(context, await getDeployment(db.sql, id));
  }

  async function stop({ actor, ref, reason }: StopAsk, mode: StopMode): Promise<Deployment> {
    const { deployment, projectId } = await load(ref, actor, mode);
    if (endings[mode].includes(deployment.status)) return withUrl(context, deployment);
    switch (deployment.status) {
      case 'queued':
        return stopQueued({ actor, deployment, projectId, request: stopRequest(mode, actor, reason) });
      case 'running':
      case 'stopping':
      case 'rollingBack':
        return control({ actor, deployment, projectId, request: stopRequest(mode, actor, reason) });
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
        if (isReadOnly(deployment.type)) {
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
