import type { HandlersOf } from '../route.ts';
import { slice, withSecretToken } from './shared.ts';
import type { RouteDeps } from './shared.ts';

export function poolsHandlers({ operations }: RouteDeps): HandlersOf<'pools'> {
  return {
    list: async ({ caller, query }) => slice(await operations.listPools({ actor: caller }), query),
    create: async ({ caller, body }) => withSecretToken(await operations.createPool({ actor: caller, ...body })),
    rotate: async ({ caller, params }) => withSecretToken(await operations.rotatePool({ actor: caller, ...params })),
    remove: ({ caller, params }) => operations.deletePool({ actor: caller, ...params }),
  };
}
