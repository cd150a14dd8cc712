import type { HandlersOf } from '../route.ts';
import type { RouteDeps } from './shared.ts';

export function schedulesHandlers({ operations }: RouteDeps): HandlersOf<'schedules'> {
  return {
    list: ({ caller, query }) => operations.listSchedules({ actor: caller, ...query }),
    get: ({ caller, params }) => operations.getSchedule({ actor: caller, ref: params.ref }),
    set: ({ caller, params, body }) => operations.setSchedule({ actor: caller, ref: params.ref, schedule: body }),
    remove: async ({ caller, params }) => {
      await operations.setSchedule({ actor: caller, ref: params.ref, schedule: null });
    },
  };
}

export function driftHandlers({ operations }: RouteDeps): HandlersOf<'drift'> {
  return {
    get: ({ caller, params, query }) => operations.getDrift({ actor: caller, ref: params.ref, ...query }),
    set: ({ caller, params, body }) => operations.setDrift({ actor: caller, ref: params.ref, drift: body }),
    remove: async ({ caller, params }) => {
      await operations.setDrift({ actor: caller, ref: params.ref, drift: null });
    },
  };
}
