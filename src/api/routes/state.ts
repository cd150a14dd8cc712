import type { HandlersOf } from '../route.ts';
import type { RouteDeps } from './shared.ts';

type Lock = Awaited<ReturnType<RouteDeps['operations']['unlockState']>>['lock'];

function showLock(lock: Lock) {
  if (lock === null) return null;
  return {
    lockId: lock.lockId,
    operation: lock.info.Operation,
    who: lock.info.Who,
    deploymentId: lock.deploymentId,
    acquiredAt: lock.acquiredAt,
  };
}

export function stateHandlers({ operations }: RouteDeps): HandlersOf<'state'> {
  return {
    get: async ({ caller, params }) => {
      const summary = await operations.getState({ actor: caller, ref: params.ref });
      return summary === null ? null : { ...summary, lock: showLock(summary.lock) };
    },
    versions: ({ caller, params, query }) =>
      operations.listStateVersions({
        actor: caller,
        ref: params.ref,
        limit: query.limit ?? 50,
        cursor: query.cursor,
      }),
    download: async ({ caller, params, response }) => {
      const { body, fileName } = await operations.downloadStateVersion({
        actor: caller,
        ref: params.ref,
        versionId: params.id,
      });
      response.status(200).set({
        'Content-Type': 'application/json',
        'Content-Disposition': `attachment; filename="${fileName}"`,
        'Cache-Control': 'no-store',
      });
      response.end(Buffer.from(body));
    },
    diff: async ({ caller, params, query }) => {
      const diff = await operations.diffStateVersions({ actor: caller, ref: params.ref, ...query });
      return {
        resources: [
          ...diff.added.map((address) => ({ address, action: 'added' as const, attributes: [] })),
          ...diff.removed.map((address) => ({ address, action: 'removed' as const, attributes: [] })),
          ...diff.changed.map(({ address, attributes }) => ({
            address,
            action: 'changed' as const,
            attributes: [...attributes],
          })),
        ],
        outputs: {
          added: [...diff.outputs.added],
          removed: [...diff.outputs.removed],
          changed: [...diff.outputs.changed],
        },
      };
    },
    restore: ({ caller, params, body }) =>
      operations.restoreStateVersion({ actor: caller, ref: params.ref, versionId: params.id, reason: body.reason }),
    unlock: async ({ caller, params, body }) => {
      const { lock } = await operations.unlockState({ actor: caller, ref: params.ref, reason: body.reason });
      return { lock: showLock(lock) };
    },
    verify: ({ caller, params, body }) =>
      operations.verifyState({ actor: caller, ref: params.ref, reason: body.reason }),
  };
}
