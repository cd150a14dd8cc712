import type { HandlersOf } from '../route.ts';
import { accepted, slice } from './shared.ts';
import type { RouteDeps } from './shared.ts';
import { deploymentEvents, deploymentLogs } from './streams.ts';

export function deploymentsHandlers(deps: RouteDeps): HandlersOf<'deployments'> {
  const { operations } = deps;
  return {
    list: ({ caller, query }) => operations.listDeployments({ actor: caller, ...query }),
    get: ({ caller, params }) => operations.getDeployment({ actor: caller, ref: params.ref }),
    nodes: async ({ caller, params, query }) =>
      slice(await operations.listNodes({ actor: caller, ref: params.ref }), query),
    cancel: ({ caller, params, body }) =>
      operations.cancelDeployment({ actor: caller, ref: params.ref, reason: body.reason }),
    abort: ({ caller, params, body }) =>
      operations.abortDeployment({ actor: caller, ref: params.ref, reason: body.reason }),
    rollback: async ({ caller, params, body, idempotencyKey }) =>
      accepted(
        await operations.rollbackDeployment({ actor: caller, ref: params.ref, reason: body.reason, idempotencyKey }),
      ),
    previewRollback: ({ caller, params }) => operations.previewRollback({ actor: caller, ref: params.ref }),
    pause: ({ caller, params }) => operations.pauseDeployment({ actor: caller, ref: params.ref }),
    continue: ({ caller, params }) => operations.continueDeployment({ actor: caller, ref: params.ref }),
    resume: async ({ caller, params, body, idempotencyKey }) =>
      accepted(await operations.resumeDeployment({ actor: caller, ref: params.ref, ...body, idempotencyKey })),
    retryNode: ({ caller, params }) => operations.retryNode({ actor: caller, ...params }),
    skipNode: ({ caller, params }) => operations.skipNode({ actor: caller, ...params }),
    setNodeVariables: ({ caller, params, body }) =>
      operations.setNodeVariables({ actor: caller, ...params, variables: body }),
    plan: async ({ caller, params, query, response }) => {
      const plan = await operations.readPlan({ actor: caller, ...params, format: query.format });
      response.status(200).type(query.format === 'json' ? 'application/json' : 'text/plain; charset=utf-8');
      response.end(Buffer.from(plan));
    },
    events: deploymentEvents(deps),
    logs: deploymentLogs(deps),
  };
}
