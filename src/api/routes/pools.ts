import type { NewRunnerPool } from '../../model/index.ts';
import { Reply } from '../route.ts';
import type { HandlersOf } from '../route.ts';
import { slice } from './shared.ts';
import type { RouteDeps } from './shared.ts';

export function poolsHandlers({ operations }: RouteDeps): HandlersOf<'pools'> {
  return {
    list: async ({ caller, query }) => slice(await operations.listPools({ actor: caller }), query),
    create: async ({ caller, body }) => told(await operations.createPool({ actor: caller, ...body })),
    rotate: async ({ caller, params }) => told(await operations.rotatePool({ actor: caller, ...params })),
    remove: ({ caller, params }) => operations.deletePool({ actor: caller, ...params }),
  };
}

/** What is kept for repeats of the call must not hold the token. */
function told(pool: NewRunnerPool): Reply<Omit<NewRunnerPool, 'token'> & { token: string | null }> {
  return new Reply<Omit<NewRunnerPool, 'token'> & { token: string | null }>(pool, {
    headers: { 'Cache-Control': 'no-store' },
    stored: { ...pool, token: null },
  });
}
