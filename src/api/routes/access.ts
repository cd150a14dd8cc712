import type { HandlersOf } from '../route.ts';
import { slice, withSecretToken } from './shared.ts';
import type { RouteDeps } from './shared.ts';

export function keysHandlers({ operations }: RouteDeps): HandlersOf<'keys'> {
  return {
    current: ({ caller }) => ({
      id: caller.id,
      kind: caller.kind,
      name: caller.name,
      permissions: [...caller.permissions],
    }),
    list: async ({ caller, query }) => {
      const { items } = await operations.listKeys({ actor: caller });
      return slice(
        items.map((key) => ({ ...key, permissions: [...key.permissions] })),
        query,
      );
    },
    create: async ({ caller, body }) => {
      const { key, token } = await operations.createKey({ actor: caller, input: body });
      return withSecretToken({ ...key, permissions: [...key.permissions], token });
    },
    revoke: async ({ caller, params }) => {
      await operations.revokeKey({ actor: caller, ref: params.ref });
    },
  };
}

export function auditHandlers({ operations }: RouteDeps): HandlersOf<'audit'> {
  return {
    list: ({ caller, query }) => {
      const { actor: by, ...rest } = query;
      return operations.listAudit({ actor: caller, by, ...rest });
    },
  };
}

export function encryptionHandlers({ operations }: RouteDeps): HandlersOf<'encryption'> {
  return {
    listKeys: async ({ caller, query }) => {
      const keys = await operations.listEncryptionKeys({ actor: caller });
      const items = keys.map(({ id, status, origin, createdAt, retiredAt }) => ({
        id,
        status,
        origin,
        createdAt: createdAt.toISOString(),
        retiredAt: retiredAt?.toISOString() ?? null,
      }));
      return slice(items, query);
    },
    rotate: async ({ caller, body }) => {
      const step = await operations.rotateEncryption({ actor: caller, cursor: body.cursor });
      return { ...step, waitingFor: [...step.waitingFor], retired: [...step.retired] };
    },
  };
}
