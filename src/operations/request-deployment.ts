import { createHash } from 'node:crypto';
import type { Deployment, DeploymentType, Environment, QueuedRun, Trigger } from '../model/index.ts';
import { WindlassError, isTerminalDeployment, messageOf } from '../model/index.ts';
import {
  claimIdempotencyKey,
  completeIdempotencyKey,
  createDeployment,
  getDeployment,
  getEnvironment,
  openRunsOf,
  readIdempotentAnswer,
  readInstallation,
  recordEvent,
  requestInProgressError,
  setRunStatus,
} from '../store/index.ts';
import type { Db } from '../store/index.ts';
import { audit, plainActor, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';
import { checkDeploymentRequest } from './deployment-request.ts';
import type { DeploymentRequestInput } from './deployment-request.ts';
import { requireNotHeld } from './installation.ts';
import { entityOf, findPlace } from './places.ts';
import { checkDryRun } from './previews.ts';
import { z } from 'zod';

export interface DeploymentAsk extends Asked {
  /** Name or id; `shop/eks` is a node of `shop`. */
  readonly environment: string;
  readonly request: DeploymentRequestInput;
  readonly trigger: Trigger;
  /** The same key of the same actor, for the same environment, gives the same deployment. */
  readonly idempotencyKey?: string | undefined;
}

export interface PreparedDeployment {
  readonly deployment: Deployment;
  readonly root: Environment;
  /** What the environment's workflow takes into its queue. */
  readonly queued: QueuedRun;
}

/** A recorded run. `warning` says that it has not begun because Temporal is away; it begins when that is back. */
export interface RequestedDeployment {
  readonly deployment: Deployment;
  readonly warning: string | null;
}

const verbs = {
  deploy: 'Deploy',
  destroy: 'Destroy',
  plan: 'Plan',
  drift: 'Check drift of',
  rollback: 'Roll back',
} as const;

/** What the environment's workflow is told of a run. */
export function queuedRunOf(deployment: Deployment, root: Environment): QueuedRun {
  const { partial, resume } = deployment.request;
  const destroysNode = partial?.operation === 'single-node-destroy';
  const name = partial ? `${root.name}/${partial.node}` : root.name;
  const verb = destroysNode ? verbs.destroy : resume ? 'Resume' : verbs[deployment.type];
  const coalesce = root.settings.coalesceDeploys && deployment.type === 'deploy' && !partial && !resume;
  return {
    deploymentId: deployment.id,
    type: deployment.type,
    title: `${verb} "${name}" #${deployment.number}`,
    ...(coalesce ? { coalesce: true } : {}),
  };
}

const rememberedSchema = z.object({ deploymentId: z.string() });

interface Remembered {
  readonly actor: string;
  readonly key: string;
}

function rememberedAs(ask: DeploymentAsk, root: Environment): Remembered | null {
  if (ask.idempotencyKey === undefined) return null;
  // Beside the keys of whole API calls, which hold answers. Two crons may fire at the same moment, which is their key.
  const firing = ask.trigger === 'schedule' ? `:${ask.request.type ?? 'deploy'}` : '';
  return {
    actor: `deployment:${root.id}:${ask.trigger}${firing}:${ask.actor.kind}:${ask.actor.id}`,
    key: ask.idempotencyKey,
  };
}

/** The deployment that this key has made before; null when it is new. Its row is locked until the transaction ends. */
async function claim(tx: Db, remembered: Remembered, ask: DeploymentAsk): Promise<string | null> {
  const requestHash = createHash('sha256')
    .update(JSON.stringify([ask.environment, ask.request]))
    .digest('hex');
  const answer = await claimIdempotencyKey(tx, { ...remembered, requestHash, staleAfterMs: 0 });
  if (answer.state === 'pending') throw requestInProgressError(remembered.key);
  return answer.state === 'new' ? null : rememberedSchema.parse(answer.body).deploymentId;
}

async function prepare(context: Context, ask: DeploymentAsk): Promise<PreparedDeployment> {
  const { db, secrets } = context;
  const place = await findPlace(db.sql, ask.environment, scopeOf(ask.actor));
  const remembered = rememberedAs(ask, place.root);
  const known = remembered === null ? null : await recall(db.sql, remembered);
  if (known !== null) {
    // Only a repeat of what was allowed and valid then gets here; whether it is the same request is checked below.
    const deploymentId = await db.transaction(async (tx) => (remembered ? claim(tx, remembered, ask) : null));
    if (deploymentId !== null) return found(db.sql, deploymentId);
  }
  const checked = await checkDeploymentRequest(db.sql, {
    actor: ask.actor,
    place,
    request: ask.request,
    trigger: ask.trigger,
    nowMs: context.clock(),
  });
  // A schedule or a timer reads no answer: its run fails on record, where people see it.
  if (ask.trigger === 'api' || ask.trigger === 'user') await checkDryRun(context, place.root, checked);
  const id = await db.transaction(async (tx) => {
    const before = remembered === null ? null : await claim(tx, remembered, ask);
    if (before !== null) return before;
    const created = await createDeployment(tx, secrets, {
      environmentId: place.root.id,
      type: checked.type,
      trigger: ask.trigger,
      requestedBy: plainActor(ask.actor),
      request: checked.request,
      basedOn: checked.basedOn,
      mayWaiveApproval: checked.mayWaiveApproval,
    });
    await requireNoOverlap(tx, ask.trigger, checked.type, created);
    await recordEvent(tx, {
      type: 'deployment.status',
      environmentId: place.root.id,
      deploymentId: created.id,
      alias: null,
      data: { status: 'queued', number: created.number, type: checked.type, trigger: ask.trigger },
    });
    await audit(tx, ask.actor, {
      action: `deployment.${checked.type}`,
      targetType: 'environment',
      targetId: place.environment.id,
      projectId: place.root.projectId,
      after: {
        deployment: created.id,
        number: created.number,
        trigger: ask.trigger,
        ...(checked.request.partial ? { partial: checked.request.partial } : {}),
      },
    });
    if (remembered !== null)
      await completeIdempotencyKey(tx, remembered, { status: 202, body: { deploymentId: created.id } });
    return created.id;
  });
  return found(db.sql, id);
}

/**
 * A firing of a schedule is skipped, not queued, while the environment is at work. It is looked for after the number was
 * given, whose lock makes two firings at the same moment wait for one another.
 */
async function requireNoOverlap(
  tx: Db,
  trigger: Trigger,
  type: DeploymentType,
  created: { readonly id: string; readonly environmentId: string },
): Promise<void> {
  if (trigger !== 'schedule' && !(trigger === 'drift' && type === 'drift')) return;
  const inTheWay: DeploymentType[] = [
    'deploy',
    'destroy',
    'rollback',
    ...(type === 'drift' ? (['drift'] as const) : []),
  ];
  const [other] = await openRunsOf(tx, created.environmentId, { types: inTheWay, besides: created.id });
  if (other === undefined) return;
  throw new WindlassError(
    'conflict',
    `${other.type} #${other.number} is ${other.status}: a schedule does not queue behind it`,
    {
      hint: 'nothing is to be done; the schedule fires again',
    },
  );
}

async function recall(db: Db, { actor, key }: Remembered): Promise<string | null> {
  const parsed = rememberedSchema.safeParse(await readIdempotentAnswer(db, { actor, key }));
  return parsed.success ? parsed.data.deploymentId : null;
}

async function found(db: Db, id: string): Promise<PreparedDeployment> {
  const deployment = await getDeployment(db, id);
  const root = await getEnvironment(db, deployment.environmentId);
  return { deployment, root, queued: queuedRunOf(deployment, root) };
}

/** Ends a run that is still queued here and not known to its environment's workflow, so that it is not sent again. */
export async function dropQueued(context: Context, deployment: Deployment, reason: string): Promise<void> {
  const error = { class: 'cancelled', message: reason };
  await context.db.transaction((tx) =>
    setRunStatus(tx, deployment.id, { status: 'cancelled', from: 'queued', error, message: reason }),
  );
}

/** Hands a queued run to its environment's workflow. Sending one twice changes nothing. */
export async function submitQueued(context: Context, { deployment, root, queued }: PreparedDeployment): Promise<void> {
  const { temporal } = context;
  try {
    await temporal.submit(entityOf(root), queued);
  } catch (thrown) {
    if (!(thrown instanceof WindlassError) || thrown.code === 'unavailable') throw thrown;
    if (thrown.code === 'locked') {
      const { flags } = await getEnvironment(context.db.sql, root.id);
      if (flags.lock === null) {
        // An unlock that did not reach the workflow: the record is what counts.
        await temporal.lockChanged(root.id);
        await temporal.submit(entityOf({ ...root, flags }), queued);
        return;
      }
    }
    await dropQueued(context, deployment, thrown.message);
    throw thrown;
  }
}

/** Asking for runs. */
export function requestOperations(context: Context) {
  const { db } = context;
  return {
    /**
     * Records a run without sending it: for the environment's own workflow, which queues it itself.
     * Throws `locked`, `conflict`, `invalidInput`, `forbidden`, `notFound`.
     */
    async prepareDeployment(ask: DeploymentAsk): Promise<PreparedDeployment> {
      await requireNotHeld(db.sql);
      return prepare(context, ask);
    },

    /** A recorded run as the workflow of its environment is told of it. Throws `notFound`. */
    async findQueuedRun(deploymentId: string): Promise<QueuedRun> {
      return (await found(db.sql, deploymentId)).queued;
    },

    /**
     * Records a run and hands it to its environment's queue. A Temporal that is away loses nothing: the run stays queued
     * and is sent again by the reconciliation, so this answers with a warning instead of failing.
     */
    async requestDeployment(ask: DeploymentAsk): Promise<RequestedDeployment> {
      const prepared = await prepare(context, ask);
      if (isTerminalDeployment(prepared.deployment.status))
        return { deployment: withUrl(context, prepared.deployment), warning: null };
      const hold = await readInstallation(db.sql, 'hold');
      if (hold !== null) {
        const held = `The run is recorded and waits: ${hold.reason} (by ${hold.by} since ${hold.since})`;
        return { deployment: withUrl(context, prepared.deployment), warning: held };
      }
      let warning: string | null = null;
      try {
        await submitQueued(context, prepared);
      } catch (thrown) {
        if (!(thrown instanceof WindlassError) || thrown.code !== 'unavailable') throw thrown;
        warning = `The run is recorded and begins when Temporal and a worker are back: ${messageOf(thrown)}`;
      }
      const deployment = await getDeployment(db.sql, prepared.deployment.id);
      return { deployment: withUrl(context, deployment), warning };
    },
  };
}

/** A deployment with its link into the Temporal Web UI. */
export function withUrl(context: Pick<Context, 'temporal'>, deployment: Deployment): Deployment {
  return { ...deployment, temporalUrl: context.temporal.deploymentUrl(deployment.id) };
}
