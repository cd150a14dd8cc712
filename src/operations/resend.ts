import { destroyRetryMs } from '../definition/index.ts';
import { isTerminalDeployment, WindlassError } from '../model/index.ts';
import {
  getApproval,
  getDeployment,
  getEnvironment,
  listDueEnvironments,
  listQueued,
  listUndeliveredControls,
  listUndeliveredDecisions,
  settleControlRequest,
} from '../store/index.ts';
import type { DueEnvironment, RecordedControl } from '../store/index.ts';
import { deliverDecision } from './approvals.ts';
import type { Context } from './context.ts';
import { isHeld, settleArrival } from './installation.ts';
import { entityOf } from './places.ts';
import { queuedRunOf, submitQueued } from './request-deployment.ts';

/** What is younger than this is probably on its way. */
const graceSeconds = 20;

/** Says whether Temporal is away, so that there is no use in going on. Other refusals belong to the one thing that was tried. */
async function attempt({ temporal }: Context, work: () => Promise<boolean>): Promise<{ done: boolean; away: boolean }> {
  try {
    return { done: await work(), away: false };
  } catch (thrown) {
    if (!(thrown instanceof WindlassError)) throw thrown;
    if (thrown.code !== 'unavailable') return { done: false, away: false };
    // One workflow that does not answer must not keep the others waiting.
    const away = await temporal.check().then(
      () => false,
      () => true,
    );
    return { done: false, away };
  }
}

async function resendQueued(context: Context, deploymentId: string): Promise<boolean> {
  const { db, temporal } = context;
  const deployment = await getDeployment(db.sql, deploymentId);
  if (deployment.status !== 'queued') return false;
  const view = await temporal.view(deployment.environmentId);
  // What the workflow knows of need not be sent again: each message makes its history longer.
  if (view !== null && [...view.queue, ...view.running].some((run) => run.deploymentId === deploymentId)) return false;
  const root = await getEnvironment(db.sql, deployment.environmentId);
  await submitQueued(context, { deployment, root, queued: { ...queuedRunOf(deployment, root), again: true } });
  return true;
}

async function resendDecision(
  context: Context,
  row: { id: string; compensation: boolean; by: string; comment: string | null },
): Promise<boolean> {
  const approval = await getApproval(context.db.sql, row.id, 'all');
  await deliverDecision(
    context,
    { approval, compensation: row.compensation },
    {
      approvalId: approval.id,
      decision: approval.status === 'approved' ? 'approve' : 'reject',
      by: row.by,
      complete: true,
      ...(row.comment === null ? {} : { comment: row.comment }),
    },
  );
  return true;
}

/** An environment whose end, or that of a node, is due and whose workflow is gone, or knows of another end, gets it back, and with it its end. */
async function resendExpiry(context: Context, { id, nodes }: DueEnvironment): Promise<boolean> {
  const view = await context.temporal.view(id);
  const root = await getEnvironment(context.db.sql, id);
  const own = root.expiresAt !== null && view?.expiresAtMs !== Date.parse(root.expiresAt);
  // Once it has heard of a node that is due, it looks again within the hour.
  const looksAtMs = view?.nodesDueMs ?? null;
  const nodesOutdated = nodes && (looksAtMs === null || looksAtMs > context.clock() + 2 * destroyRetryMs);
  if (!own && !nodesOutdated) return false;
  await context.temporal.expiryChanged({ ...entityOf(root), nodesExpire: nodes });
  return true;
}

/** A request whose API has died between writing it down and telling the run. */
async function resendControl(context: Context, { id, deploymentId, request }: RecordedControl): Promise<boolean> {
  const { db, temporal } = context;
  const { environmentId, status } = await getDeployment(db.sql, deploymentId);
  if (isTerminalDeployment(status)) {
    await settleControlRequest(db.sql, id, { status: 'refused', refusal: 'the run has ended' });
    return false;
  }
  if (status === 'queued' && (await temporal.cancelQueued(environmentId, { deploymentId, requestId: id }))) return true;
  try {
    await temporal.control(deploymentId, { ...request, requestId: id });
  } catch (thrown) {
    // The run has said no, or is no more: nobody waits for the answer any longer.
    if (thrown instanceof WindlassError && thrown.code === 'conflict')
      await settleControlRequest(db.sql, id, { status: 'refused', refusal: thrown.message });
    throw thrown;
  }
  return true;
}

/** For the reconciliation. */
export function resendOperations(context: Context) {
  const { db } = context;
  return {
    /**
     * Sends again what Temporal has not got: queued runs, requests to runs, decisions whose node still waits, times to live
     * whose workflow is gone. At most `limit` of each; answers how many it sent. Stops early, without an error, when Temporal is away.
     */
    async resendPending(limit: number): Promise<number> {
      if (await isHeld(db.sql)) return 0;
      await settleArrival(context);
      const look = { graceSeconds, limit };
      const queued = await listQueued(db.sql, look);
      const controls = await listUndeliveredControls(db.sql, graceSeconds, limit);
      const decisions = await listUndeliveredDecisions(db.sql, look);
      const due = await listDueEnvironments(db.sql, limit);
      const work = [
        ...queued.map((id) => () => resendQueued(context, id)),
        ...controls.map((recorded) => () => resendControl(context, recorded)),
        ...decisions.map((decision) => () => resendDecision(context, decision)),
        ...due.map((one) => () => resendExpiry(context, one)),
      ];
      let sent = 0;
      for (const one of work) {
        const { done, away } = await attempt(context, one);
        if (done) sent++;
        if (away) break;
      }
      return sent;
    },
  };
}
