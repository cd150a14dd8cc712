import type { HandlersOf } from '../route.ts';
import type { RouteDeps } from './shared.ts';

export function variablesHandlers({ operations }: RouteDeps): HandlersOf<'variables'> {
  return {
    list: ({ caller, query }) => operations.listVariables({ actor: caller, ...query }),
    create: ({ caller, query, body }) => {
      const { alias, ...place } = query;
      return operations.createVariable({
        actor: caller,
        ...place,
        input: { ...body, ...(alias === undefined ? {} : { alias }) },
      });
    },
    update: ({ caller, params, body }) => operations.updateVariable({ actor: caller, id: params.id, patch: body }),
    delete: async ({ caller, params }) => {
      await operations.deleteVariable({ actor: caller, id: params.id });
    },
  };
}
