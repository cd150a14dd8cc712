import type { HandlersOf } from '../route.ts';
import { accepted, slice } from './shared.ts';
import type { RouteDeps } from './shared.ts';
import { environmentEvents } from './streams.ts';

export function environmentsHandlers(deps: RouteDeps): HandlersOf<'environments'> {
  const { operations } = deps;
  return {
    list: ({ caller, query }) => operations.listEnvironments({ actor: caller, ...query }),
    create: ({ caller, query, body }) =>
      operations.createEnvironment({ actor: caller, project: query.project, input: body }),
    get: ({ caller, params, query }) =>
      operations.getEnvironment({ actor: caller, ref: params.ref, project: query.project }),
    update: ({ caller, params, body }) => operations.updateEnvironment({ actor: caller, ref: params.ref, patch: body }),
    archive: async ({ caller, params, query }) => {
      await operations.archiveEnvironment({ actor: caller, ref: params.ref, force: query.force ?? false });
    },
    children: async ({ caller, params, query }) =>
      slice(await operations.listChildren({ actor: caller, ref: params.ref, detached: query.detached }), query),
    graph: ({ caller, params }) => operations.readGraph({ actor: caller, ref: params.ref }),
    status: ({ caller, params }) => operations.readStatus({ actor: caller, ref: params.ref }),
    outputs: async ({ caller, params, query }) =>
      slice((await operations.listOutputs({ actor: caller, ref: params.ref })).items, query, 1000),
    variables: async ({ caller, params, query }) => {
      const { items } = await operations.effectiveVariables({ actor: caller, ref: params.ref, alias: query.alias });
      return slice(items, query, 1000);
    },
    deployments: ({ caller, params, query }) =>
      operations.listDeployments({ actor: caller, environment: params.ref, ...query }),
    preview: ({ caller, params, body }) =>
      operations.previewDeployment({ actor: caller, environment: params.ref, request: body }),
    requestDeployment: async ({ caller, params, body, idempotencyKey }) =>
      accepted(
        await operations.requestDeployment({
          actor: caller,
          environment: params.ref,
          request: body,
          trigger: 'api',
          idempotencyKey,
        }),
      ),
    lock: ({ caller, params, body }) =>
      operations.lockEnvironment({ actor: caller, ref: params.ref, reason: body.reason }),
    unlock: ({ caller, params }) => operations.unlockEnvironment({ actor: caller, ref: params.ref }),
    setTtl: ({ caller, params, body }) => operations.setTtl({ actor: caller, ref: params.ref, ttl: body }),
    extendTtl: ({ caller, params, body }) =>
      operations.extendTtl({ actor: caller, ref: params.ref, hours: body.hours }),
    events: environmentEvents(deps),
  };
}
