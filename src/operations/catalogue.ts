import type { z } from 'zod';
import { checkSourcePath, patternProblem, repositoryProblem } from '../definition/index.ts';
import type {
  Organization,
  Page,
  Project,
  Scope,
  ScopeSettings,
  Template,
  TemplateInput,
  projectInputSchema,
} from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import {
  createProject as insertProject,
  createTemplate as insertTemplate,
  deleteProject,
  deleteTemplate as removeTemplate,
  findOrganization,
  findProject,
  findTemplate,
  listOrganizations as readOrganizations,
  listProjectContents,
  listProjects as readProjects,
  listTemplates as readTemplates,
  renameProject,
  updateOrganizationSettings,
  updateProjectSettings,
  updateTemplate,
} from '../store/index.ts';
import type { Db, PageRequest } from '../store/index.ts';
import { audit, authorize, namedScope, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';

/** The project that a request names; without a name the only one, or the one called "default". */
export async function resolveProject(db: Db, reference: string | undefined, scope: Scope): Promise<Project> {
  if (reference !== undefined) return findProject(db, reference, scope);
  const { items, next } = await readProjects(db, scope, { limit: 2 });
  const [only] = items;
  if (only !== undefined && items.length === 1 && next === null) return only;
  return findProject(db, 'default', scope).catch((thrown: unknown) => {
    if (thrown instanceof WindlassError && thrown.code === 'notFound') {
      throw new WindlassError('invalidInput', 'Which project? There are several, and none is called "default"', {
        hint: 'name one: ?project=',
      });
    }
    throw thrown;
  });
}

function checkScopeSettings(settings: ScopeSettings): void {
  const { defaultTtl, maximumTtlHours } = settings;
  if (defaultTtl?.kind === 'date') {
    throw new WindlassError(
      'invalidInput',
      'A default time to live is a number of hours or unlimited: a date passes once',
      {
        problems: [{ path: 'settings.defaultTtl', message: 'cannot be a date' }],
      },
    );
  }
  if (defaultTtl?.kind === 'hours' && maximumTtlHours !== undefined && defaultTtl.hours > maximumTtlHours) {
    throw new WindlassError(
      'invalidInput',
      `The default time to live (${defaultTtl.hours} h) is longer than the maximum (${maximumTtlHours} h)`,
      {
        problems: [{ path: 'settings.defaultTtl', message: 'is longer than maximumTtlHours' }],
      },
    );
  }
}

function checkTemplate(input: TemplateInput): void {
  const problems = [];
  const { source } = input;
  if (source.kind === 'git') {
    const problem = repositoryProblem(source.repository);
    if (problem !== null) problems.push({ path: 'source.repository', message: problem });
    if (/^https?:\/\/[^/@]*@/i.test(source.repository) || /^\w+:\/\/[^/@:]*:[^/@]*@/.test(source.repository)) {
      const message =
        'holds a user name or password; keep the token in a sensitive environment variable and name that in source.credentials';
      problems.push({ path: 'source.repository', message });
    }
    if (source.revision?.startsWith('-')) problems.push({ path: 'source.revision', message: 'cannot begin with "-"' });
  } else if (!source.directory.startsWith('/')) {
    problems.push({ path: 'source.directory', message: 'has to be an absolute directory' });
  }
  const path = checkSourcePath(source.path);
  if (path.problem !== null) problems.push({ path: 'source.path', message: path.problem });
  for (const name of ['retryOnDeploy', 'retryOnDestroy'] as const) {
    const pattern = input[name]?.onlyWhenMatches;
    const problem = pattern === undefined ? null : patternProblem(pattern);
    if (problem !== null) problems.push({ path: `${name}.onlyWhenMatches`, message: problem });
  }
  if (problems.length > 0) {
    throw new WindlassError(
      'invalidInput',
      `The template cannot be used: ${problems.map((p) => `${p.path}: ${p.message}`).join('; ')}`,
      { problems },
    );
  }
}

/** Deletes a project that nothing is in any more. Throws `conflict` that says what is. */
async function removeProject(tx: Db, { id, name }: Project): Promise<void> {
  const { environments, templates } = await listProjectContents(tx, id);
  const left = [
    ...environments.map((row) => `environment "${row.name}"${row.archived ? ' (archived)' : ''}`),
    ...templates.map((template) => `template "${template}"`),
  ];
  if (left.length > 0) {
    throw new WindlassError(
      'conflict',
      `The project "${name}" is not empty: it has ${left.slice(0, 10).join(', ')}${left.length > 10 ? ' and more' : ''}`,
      {
        hint: environments.some((row) => row.archived)
          ? 'records of archived environments are kept for the audit log, and with them their project'
          : 'destroy and archive its environments and delete its templates first',
      },
    );
  }
  await deleteProject(tx, id);
}

/** How many pages are looked through for templates that fit a filter. */
const mostFilteredPages = 25;

/** Organizations, projects and templates. */
export function catalogueOperations(context: Context) {
  const { db } = context;
  return {
    async listOrganizations({ actor }: Asked): Promise<Page<Organization>> {
      authorize(actor, 'view');
      return { items: await readOrganizations(db.sql), next: null };
    },

    async updateOrganization({
      actor,
      ref,
      settings,
    }: Asked & { ref: string; settings: ScopeSettings }): Promise<Organization> {
      authorize(actor, 'organization.manage');
      checkScopeSettings(settings);
      return db.transaction(async (tx) => {
        const before = await findOrganization(tx, ref);
        const after = await updateOrganizationSettings(tx, before.id, settings);
        await audit(tx, actor, {
          action: 'organization.update',
          targetType: 'organization',
          targetId: before.id,
          before: before.settings,
          after: after.settings,
        });
        return after;
      });
    },

    async listProjects({ actor, ...page }: Asked & PageRequest): Promise<Page<Project>> {
      return readProjects(db.sql, scopeOf(actor), page);
    },

    async createProject({ actor, input }: Asked & { input: z.output<typeof projectInputSchema> }): Promise<Project> {
      authorize(actor, 'organization.manage');
      checkScopeSettings(input.settings);
      return db.transaction(async (tx) => {
        const organization = await findOrganization(tx, input.organization);
        const project = await insertProject(tx, {
          organizationId: organization.id,
          name: input.name,
          settings: input.settings,
        });
        await audit(tx, actor, {
          action: 'project.create',
          targetType: 'project',
          targetId: project.id,
          projectId: project.id,
          after: project,
        });
        return project;
      });
    },

    async getProject({ actor, ref }: Asked & { ref: string }): Promise<Project> {
      const project = await findProject(db.sql, ref, scopeOf(actor));
      authorize(actor, 'view', project.id);
      return project;
    },

    async updateProject({
      actor,
      ref,
      name,
      settings,
    }: Asked & { ref: string; name?: string | undefined; settings?: ScopeSettings | undefined }): Promise<Project> {
      if (settings) checkScopeSettings(settings);
      return db.transaction(async (tx) => {
        const before = await findProject(tx, ref, scopeOf(actor));
        authorize(actor, 'project.manage', before.id);
        if (name !== undefined && name !== before.name) await renameProject(tx, before.id, name);
        const after = await updateProjectSettings(tx, before.id, settings ?? before.settings);
        await audit(tx, actor, {
          action: 'project.update',
          targetType: 'project',
          targetId: before.id,
          projectId: before.id,
          before,
          after,
        });
        return after;
      });
    },

    async deleteProject({ actor, ref }: Asked & { ref: string }): Promise<void> {
      authorize(actor, 'organization.manage');
      await db.transaction(async (tx) => {
        const project = await findProject(tx, ref, scopeOf(actor));
        await removeProject(tx, project);
        await audit(tx, actor, {
          action: 'project.delete',
          targetType: 'project',
          targetId: project.id,
          projectId: project.id,
          before: project,
        });
      });
    },

    async listTemplates({
      actor,
      project,
      name,
      type,
      ...page
    }: Asked &
      PageRequest & {
        project?: string | undefined;
        name?: string | undefined;
        type?: Template['type'] | undefined;
      }): Promise<Page<Template>> {
      const scope = await namedScope(db.sql, actor, project);
      if (name === undefined && type === undefined) return readTemplates(db.sql, scope, page);
      const wanted = name?.toLowerCase();
      const fits = (template: Template): boolean =>
        (wanted === undefined || template.name.toLowerCase().includes(wanted)) &&
        (type === undefined || template.type === type);
      // A project has few templates: they are read and looked at here.
      const items: Template[] = [];
      let next: string | null = page.cursor ?? null;
      for (let pages = 0; pages < mostFilteredPages && items.length === 0 && (pages === 0 || next !== null); pages++) {
        const found: Page<Template> = await readTemplates(db.sql, scope, {
          ...page,
          ...(next === null ? {} : { cursor: next }),
        });
        items.push(...found.items.filter(fits));
        next = found.next;
      }
      return { items, next };
    },

    async createTemplate({
      actor,
      project,
      input,
    }: Asked & { project: string | undefined; input: TemplateInput }): Promise<Template> {
      const owner = await resolveProject(db.sql, project, scopeOf(actor));
      authorize(actor, 'project.manage', owner.id);
      checkTemplate(input);
      await context.sources?.check(input.source);
      return db.transaction(async (tx) => {
        const template = await insertTemplate(tx, owner.id, input);
        await audit(tx, actor, {
          action: 'template.create',
          targetType: 'template',
          targetId: template.id,
          projectId: owner.id,
          after: template,
        });
        return template;
      });
    },

    async getTemplate({
      actor,
      ref,
      project,
    }: Asked & { ref: string; project?: string | undefined }): Promise<Template> {
      const template = await findTemplate(db.sql, ref, await namedScope(db.sql, actor, project));
      authorize(actor, 'view', template.projectId);
      return template;
    },

    async replaceTemplate({ actor, ref, input }: Asked & { ref: string; input: TemplateInput }): Promise<Template> {
      checkTemplate(input);
      await context.sources?.check(input.source);
      return db.transaction(async (tx) => {
        const before = await findTemplate(tx, ref, scopeOf(actor));
        authorize(actor, 'project.manage', before.projectId);
        const after = await updateTemplate(tx, before.id, input);
        await audit(tx, actor, {
          action: 'template.update',
          targetType: 'template',
          targetId: before.id,
          projectId: before.projectId,
          before,
          after,
        });
        return after;
      });
    },

    async deleteTemplate({ actor, ref }: Asked & { ref: string }): Promise<void> {
      await db.transaction(async (tx) => {
        const template = await findTemplate(tx, ref, scopeOf(actor));
        authorize(actor, 'project.manage', template.projectId);
        await removeTemplate(tx, template.id);
        await audit(tx, actor, {
          action: 'template.delete',
          targetType: 'template',
          targetId: template.id,
          projectId: template.projectId,
          before: template,
        });
      });
    },
  };
}
