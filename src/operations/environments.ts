import type {
  DriftStatus,
  Environment,
  EnvironmentInput,
  EnvironmentSettings,
  EnvironmentStatus,
  Graph,
  OutputDto,
  Page,
} from '../model/index.ts';
import { isInside } from '../definition/index.ts';
import { mayHaveResources, WindlassError } from '../model/index.ts';
import {
  createEnvironment as insertEnvironment,
  deleteEnvironment,
  findEnvironment,
  findTemplate,
  listEnvironments as readEnvironments,
  listOutputs as readOutputs,
  listSubEnvironments,
  loadGraphFacts,
} from '../store/index.ts';
import type { Db, PageRequest } from '../store/index.ts';
import { resolveProject } from './catalogue.ts';
import { audit, authorize, namedScope, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';
import { checkDrift, checkSchedule, checkTtl, expiryUnder, saveSettings } from './life-settings.ts';
import { setByHand } from './life-settings-file.ts';
import { findPlace, requirePresent, requireRoot } from './places.ts';

export interface EnvironmentPatch {
  readonly name?: string | undefined;
  /** Name or id. */
  readonly template?: string | undefined;
  readonly workspace?: string | null | undefined;
  readonly revision?: string | null | undefined;
  /** Only what is given changes; null takes a setting away. */
  readonly settings?: { readonly [K in keyof EnvironmentSettings]?: EnvironmentSettings[K] | null } | undefined;
}

function mergeSettings(known: EnvironmentSettings, patch: EnvironmentPatch['settings']): EnvironmentSettings {
  const given = Object.entries(patch ?? {}).filter(([, value]) => value !== undefined);
  return { ...known, ...Object.fromEntries(given.map(([name, value]) => [name, value ?? undefined])) };
}

/** The nodes of a workflow environment as they are; one that stands alone is its own only node. */
export async function graphOf(db: Db, environment: Environment): Promise<Graph> {
  if (environment.type !== 'workflow') {
    const { name, id, status, templateName, type, flags, alias } = environment;
    return {
      nodes: [
        {
          alias: alias ?? name,
          within: [],
          name,
          environmentId: id,
          needs: [],
          status,
          disabled: false,
          drift: flags.drift,
          stateUnverified: flags.stateUnverified,
          expiresAt: environment.expiresAt,
          expiryHeld: environment.expiryHeld,
          templateName,
          type,
        },
      ],
    };
  }
  const nodes = await listSubEnvironments(db, environment.id);
  const facts = await loadGraphFacts(db, environment.id);
  const known = new Set(nodes.map((node) => node.alias));
  const workflows = nodes
    .flatMap(({ type, alias }) => (type === 'workflow' && alias !== null ? [alias] : []))
    .toSorted((a, b) => a.length - b.length);
  return {
    nodes: nodes.map((node) => {
      const fact = facts.get(node.id);
      const alias = node.alias ?? node.name;
      return {
        alias,
        within: workflows.filter((path) => isInside(alias, path)),
        name: node.name,
        environmentId: node.id,
        needs: (fact?.needs ?? []).filter((need) => known.has(need)),
        status: node.status,
        disabled: fact?.disabled ?? false,
        drift: node.flags.drift,
        stateUnverified: node.flags.stateUnverified,
        expiresAt: node.expiresAt,
        expiryHeld: node.expiryHeld,
        templateName: node.templateName ?? fact?.template_name ?? null,
        type: node.type,
      };
    }),
  };
}

/** Environments: what lives, and what it is made of. */
export function environmentOperations(context: Context) {
  const { db } = context;

  async function forView({
    actor,
    ref,
    project,
  }: Asked & { ref: string; project?: string | undefined }): Promise<Environment> {
    const environment = await findEnvironment(db.sql, ref, await namedScope(db.sql, actor, project));
    authorize(actor, 'view', environment.projectId);
    return environment;
  }

  return {
    async listEnvironments({
      actor,
      project,
      parent,
      ...filter
    }: Asked &
      PageRequest & {
        project?: string | undefined;
        /** Name or id; only those that stand alone when absent. */
        parent?: string | undefined;
        status?: EnvironmentStatus | undefined;
        name?: string | undefined;
        drift?: DriftStatus | undefined;
        archived?: boolean | undefined;
      }): Promise<Page<Environment>> {
      const scope = await namedScope(db.sql, actor, project);
      const above = parent === undefined ? null : await findEnvironment(db.sql, parent, scope);
      return readEnvironments(db.sql, scope, { ...filter, parentId: above?.id ?? null });
    },

    async createEnvironment({
      actor,
      project,
      input,
    }: Asked & { project: string | undefined; input: EnvironmentInput }): Promise<Environment> {
      const owner = await resolveProject(db.sql, project, scopeOf(actor));
      authorize(actor, 'project.manage', owner.id);
      if (input.settings.schedule) checkSchedule(input.settings.schedule);
      if (input.settings.drift) checkDrift(input.settings.drift);
      const template = await findTemplate(db.sql, input.template, [owner.id]);
      const { schedule, drift, ttl, ...plain } = input.settings;
      if (ttl) await checkTtl(context, owner.id, ttl);
      const created = await db.transaction(async (tx) => {
        const environment = await insertEnvironment(tx, {
          projectId: owner.id,
          name: input.name,
          templateId: template.id,
          workspace: input.workspace,
          revision: input.revision,
          settings: plain,
        });
        await audit(tx, actor, {
          action: 'environment.create',
          targetType: 'environment',
          targetId: environment.id,
          projectId: owner.id,
          after: { name: input.name, template: template.name, settings: input.settings },
        });
        return environment;
      });
      if (!schedule && !drift && !ttl) return created;
      try {
        return await saveSettings(context, {
          actor,
          environment: created,
          settings: () => setByHand(input.settings),
          action: 'environment.schedule',
        });
      } catch (thrown) {
        // Half an environment would live on under a name that the next try needs.
        await deleteEnvironment(db.sql, created.id);
        throw thrown;
      }
    },

    getEnvironment: forView,

    async updateEnvironment({
      actor,
      ref,
      patch,
    }: Asked & { ref: string; patch: EnvironmentPatch }): Promise<Environment> {
      const place = await findPlace(db.sql, ref, scopeOf(actor));
      const { environment } = place;
      authorize(actor, 'project.manage', environment.projectId);
      requirePresent(place);
      const settings = mergeSettings(environment.settings, patch.settings);
      const { schedule, drift, ttl } = settings;
      const life = [patch.settings?.schedule, patch.settings?.drift].some(
        (given) => given !== undefined && given !== null,
      );
      if (place.alias !== null && (patch.name !== undefined || patch.template !== undefined || life)) {
        requireRoot(place, 'its name, template, schedule and drift check come from the workflow file or');
      }
      if (patch.settings?.schedule && schedule) checkSchedule(schedule);
      if (patch.settings?.drift && drift) checkDrift(drift);
      const ttlChanged = JSON.stringify(ttl ?? null) !== JSON.stringify(environment.settings.ttl ?? null);
      // A node without a setting of its own goes by the file again, from its next deploy on.
      const expiresAtMs =
        ttlChanged && (ttl !== undefined || place.alias === null)
          ? ((await expiryUnder(context, environment, ttl ?? { kind: 'unlimited' })) ?? null)
          : undefined;
      const template =
        patch.template === undefined ? undefined : await findTemplate(db.sql, patch.template, [environment.projectId]);
      if (template && template.type !== environment.type && mayHaveResources(environment.status)) {
        throw new WindlassError(
          'conflict',
          `"${environment.name}" is deployed with ${environment.type}; a template of type ${template.type} cannot take it over`,
          {
            hint: 'destroy it first',
          },
        );
      }
      return saveSettings(context, {
        actor,
        ...place,
        settings: (saved) =>
          setByHand(
            mergeSettings(saved, patch.settings),
            (['schedule', 'drift'] as const).filter((name) => patch.settings?.[name] !== undefined),
          ),
        expiresAtMs,
        action: 'environment.update',
        patch: {
          ...(patch.name === undefined ? {} : { name: patch.name }),
          ...(template === undefined ? {} : { templateId: template.id }),
          ...(patch.workspace === undefined ? {} : { workspace: patch.workspace }),
          ...(patch.revision === undefined ? {} : { revision: patch.revision }),
        },
      });
    },

    async listChildren({
      actor,
      ref,
      detached,
    }: Asked & { ref: string; detached?: boolean | undefined }): Promise<Environment[]> {
      const environment = await forView({ actor, ref });
      return listSubEnvironments(db.sql, environment.id, { detached: detached ?? false });
    },

    async readGraph({ actor, ref }: Asked & { ref: string }): Promise<Graph> {
      return graphOf(db.sql, await forView({ actor, ref }));
    },

    async listOutputs({ actor, ref }: Asked & { ref: string }): Promise<Page<OutputDto>> {
      const environment = await forView({ actor, ref });
      return { items: await readOutputs(db.sql, environment.id), next: null };
    },
  };
}
