import type { HandlersOf } from '../route.ts';
import { slice } from './shared.ts';
import type { RouteDeps } from './shared.ts';

export function organizationsHandlers({ operations }: RouteDeps): HandlersOf<'organizations'> {
  return {
    list: async ({ caller, query }) => slice((await operations.listOrganizations({ actor: caller })).items, query),
    update: ({ caller, params, body }) =>
      operations.updateOrganization({ actor: caller, ref: params.ref, settings: body.settings }),
  };
}

export function projectsHandlers({ operations }: RouteDeps): HandlersOf<'projects'> {
  return {
    list: ({ caller, query }) => operations.listProjects({ actor: caller, ...query }),
    create: ({ caller, body }) => operations.createProject({ actor: caller, input: body }),
    get: ({ caller, params }) => operations.getProject({ actor: caller, ref: params.ref }),
    update: ({ caller, params, body }) => operations.updateProject({ actor: caller, ref: params.ref, ...body }),
    delete: async ({ caller, params }) => {
      await operations.deleteProject({ actor: caller, ref: params.ref });
    },
  };
}

export function templatesHandlers({ operations }: RouteDeps): HandlersOf<'templates'> {
  return {
    list: ({ caller, query }) => operations.listTemplates({ actor: caller, ...query }),
    create: ({ caller, query, body }) =>
      operations.createTemplate({ actor: caller, project: query.project, input: body }),
    get: ({ caller, params, query }) =>
      operations.getTemplate({ actor: caller, ref: params.ref, project: query.project }),
    replace: ({ caller, params, body }) => operations.replaceTemplate({ actor: caller, ref: params.ref, input: body }),
    delete: async ({ caller, params }) => {
      await operations.deleteTemplate({ actor: caller, ref: params.ref });
    },
  };
}
