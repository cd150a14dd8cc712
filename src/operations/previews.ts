/** What a run would do, told before it is asked for; and what is refused because of it. */
import { z } from 'zod';
import type {
  Deployment,
  DeploymentRequest,
  DeploymentType,
  Environment,
  Preview,
  PreviewDestroy,
  PreviewNode,
  Problem,
} from '../model/index.ts';
import { errorCodes, isReadOnly, isTerminalDeployment, WindlassError } from '../model/index.ts';
import {
  countResources,
  findDeployment,
  getDeployment,
  getEnvironment,
  listPlannedDestroys,
  listUndone,
  loadVersions,
  openRunsOf,
} from '../store/index.ts';
import type { Db, Versions } from '../store/index.ts';
import type { Asked, Context } from './context.ts';
import { authorize, scopeOf } from './context.ts';
import { checkDeploymentRequest, lastSuccessBefore } from './deployment-request.ts';
import type { CheckedRequest, DeploymentRequestInput } from './deployment-request.ts';
import type { DryRun, DryRunNode } from './dry-run.ts';
import { findPlace } from './places.ts';

interface RequestedRun {
  readonly root: Environment;
  readonly type: DeploymentType;
  readonly request: DeploymentRequest;
}

/** What the run would do; null when its source cannot be read here, now or in time: then the run says what is wrong. */
async function dryRunOf(context: Context, { root, type, request }: RequestedRun): Promise<DryRun | null> {
  if (context.resolver === undefined) return null;
  const busy = root.currentDeploymentId !== null || root.flags.queued > 0;
  const pending = busy && (await openRunsOf(context.db.sql, root.id, { types: 'changing' })).length > 0;
  try {
    return await context.resolver.resolve({ environmentId: root.id, type, request, pending });
  } catch (thrown) {
    // A record that is not as it should be is our fault, and no reason to look away.
    if (thrown instanceof z.ZodError) throw thrown;
    if (!(thrown instanceof WindlassError) || errorCodes[thrown.code].kind !== 'user') return null;
    throw refusal(thrown);
  }
}

/** A file that is not there is not a resource of this API that is not there. */
function refusal(thrown: WindlassError): WindlassError {
  const { message, hint, problems, code } = thrown;
  if (code === 'conflict' || code === 'invalidDefinition') return thrown;
  return new WindlassError('invalidDefinition', message, { hint, problems, class: thrown.class, cause: thrown });
}

/** Nodes that go as a whole, and resources that the last plan of the same code takes away. */
async function destroysOf(db: Db, { root, type }: RequestedRun, dryRun: DryRun): Promise<PreviewDestroy[]> {
  if (type !== 'deploy' && type !== 'rollback') return [];
  const going = dryRun.nodes.filter(({ removal }) => removal === 'destroy');
  const counts = going.length === 0 ? new Map<string, number>() : await countResources(db, going.map(idOf));
  const whole = going.map((node): PreviewDestroy => ({
    alias: node.alias,
    name: node.name,
    whole: true,
    resources: counts.get(idOf(node)) ?? null,
    addresses: [],
    plannedIn: null,
  }));
  if (type === 'rollback' || dryRun.commit === null || root.status === 'neverDeployed') return whole;
  const planned = await listPlannedDestroys(db, root.id, dryRun.commit);
  const deployed = new Set(dryRun.nodes.flatMap(({ alias, action }) => (action === 'deploy' ? [alias] : [])));
  return [...whole, ...planned.filter(({ alias }) => deployed.has(alias))];
}

const idOf = (node: DryRunNode): string => node.environmentId ?? '';

const describeDestroy = ({ name, whole, resources, plannedIn }: PreviewDestroy): string => {
  const count = resources === null ? '' : ` (${resources} ${resources === 1 ? 'resource' : 'resources'})`;
  return whole
    ? `"${name}" would be destroyed${count}`
    : `resources of "${name}" would be destroyed${count}, as plan ${plannedIn ?? ''} says`;
};

/**
 * Refuses a run that could not begin, with all problems, and one that would destroy what the request does not name. The
 * file is read again when the run begins: this costs those who wait for the answer a look at it, and spares the record
 * of a run that failed for a typing error.
 */
export async function checkDryRun(
  context: Context,
  root: Environment,
  { type, request }: CheckedRequest,
): Promise<void> {
  if (type === 'destroy' || type === 'drift') return;
  const requested = { root, type, request };
  const dryRun = await dryRunOf(context, requested);
  const { mayDestroy } = request;
  if (dryRun === null || mayDestroy === undefined) return;
  const unasked = (await destroysOf(context.db.sql, requested, dryRun)).filter(
    ({ alias }) => !mayDestroy.includes(alias),
  );
  if (unasked.length === 0) return;
  const problems = unasked.map((destroy): Problem => ({ path: 'mayDestroy', message: describeDestroy(destroy) }));
  const [first] = problems;
  throw new WindlassError(
    'needsConfirmation',
    unasked.length === 1 ? (first?.message ?? '') : `${unasked.length} nodes would lose resources`,
    { problems, hint: 'name them in mayDestroy, or leave it out to let anything go' },
  );
}

const actionOf = ({ action, removal }: DryRunNode): PreviewNode['action'] => {
  if (removal !== null) return removal;
  return isReadOnly(action) ? 'keep' : action;
};

async function nodesOf(
  db: Db,
  dryRun: DryRun,
  versions: { readonly now: Versions; readonly before: Versions },
): Promise<PreviewNode[]> {
  const ids = dryRun.nodes.map(idOf).filter(Boolean);
  const counts = await countResources(db, ids);
  const nodes = dryRun.nodes.map((node): PreviewNode => {
    const id = idOf(node);
    const action = actionOf(node);
    const from = versions.now.get(id) ?? null;
    const becomes = versions.before.get(id) ?? { deployment: null, commit: node.commit };
    return {
      alias: node.alias,
      name: node.name,
      action,
      because: node.because,
      from,
      to: action === 'deploy' ? becomes : action === 'keep' ? from : null,
      resources: counts.get(id) ?? null,
    };
  });
  const rank = { destroy: 0, detach: 1, deploy: 2, keep: 3 } as const;
  return nodes.toSorted((a, b) => Math.min(2, rank[a.action]) - Math.min(2, rank[b.action]));
}

/** What runs would do, for whoever is about to ask for one. */
export function previewOperations(context: Context) {
  const { db } = context;

  async function preview(
    requested: RequestedRun,
    more: { readonly stops?: string | undefined } = {},
  ): Promise<Preview> {
    const { root, type, request } = requested;
    const planned =
      type === 'plan' ? ({ ...requested, type: request.rollbackTo ? 'rollback' : 'deploy' } as const) : requested;
    const dryRun = await dryRunOf(context, planned);
    if (dryRun === null) {
      throw new WindlassError('sourceUnavailable', `the source of "${root.name}" cannot be read here now`, {
        hint: 'ask for a plan: it is made where the source is',
      });
    }
    const basedOn = dryRun.basedOn === null ? null : await getDeployment(db.sql, dryRun.basedOn);
    const now = await loadVersions(db.sql, root.id, null);
    const before =
      planned.type === 'rollback' && basedOn ? await loadVersions(db.sql, root.id, basedOn.number) : new Map();
    return {
      environmentId: root.id,
      environmentName: root.name,
      type,
      stops: more.stops ?? null,
      basedOn: basedOn && { id: basedOn.id, number: basedOn.number },
      commit: dryRun.commit,
      nodes: await nodesOf(db.sql, dryRun, { now, before }),
      destroys: await destroysOf(db.sql, planned, dryRun),
      warnings: [],
    };
  }

  return {
    /** What a run of this request would do, without asking for it. Throws what the request itself would be refused with. */
    async previewDeployment({
      actor,
      environment,
      request,
    }: Asked & { environment: string; request: DeploymentRequestInput }): Promise<Preview> {
      const place = await findPlace(db.sql, environment, scopeOf(actor));
      const checked = await checkDeploymentRequest(db.sql, {
        actor,
        place,
        request,
        trigger: 'api',
        nowMs: context.clock(),
      });
      return preview({ root: place.root, type: checked.type, request: checked.request });
    },

    /** What a rollback of this deployment would do: take back a running one, or go back before a finished one. */
    async previewRollback({ actor, ref }: Asked & { ref: string }): Promise<Preview> {
      const deployment = await findDeployment(db.sql, ref, scopeOf(actor));
      const root = await getEnvironment(db.sql, deployment.environmentId);
      authorize(actor, 'view', root.projectId);
      if (!isTerminalDeployment(deployment.status)) return previewTakingBack(context, deployment, root);
      const target = await lastSuccessBefore(db.sql, deployment);
      const place = await findPlace(db.sql, root.id, scopeOf(actor));
      const checked = await checkDeploymentRequest(db.sql, {
        actor,
        place,
        request: { type: 'rollback', rollbackTo: target },
        trigger: 'api',
        nowMs: context.clock(),
      });
      return preview({ root, type: 'rollback', request: checked.request });
    },
  };
}

/** Of a run in progress: what it has begun to change by now. */
async function previewTakingBack({ db }: Context, deployment: Deployment, root: Environment): Promise<Preview> {
  const undone = (await listUndone(db.sql, deployment.id)).filter(({ undo }) => undo !== 'keep').reverse();
  const counts = await countResources(
    db.sql,
    undone.map(({ environmentId }) => environmentId),
  );
  const before = await loadVersions(db.sql, root.id, deployment.number - 1);
  const nodes = undone.map(({ environmentId, alias, name, undo: action, commit }): PreviewNode => ({
    alias,
    name,
    action,
    because: null,
    from: { deployment: deployment.number, commit },
    to: action === 'deploy' ? (before.get(environmentId) ?? null) : null,
    resources: counts.get(environmentId) ?? null,
  }));
  return {
    environmentId: root.id,
    environmentName: root.name,
    type: 'rollback',
    stops: deployment.id,
    basedOn: null,
    commit: null,
    nodes,
    destroys: nodes
      .filter(({ action }) => action === 'destroy')
      .map(({ alias, name, resources }) => ({ alias, name, whole: true, resources, addresses: [], plannedIn: null })),
    warnings: [],
  };
}
