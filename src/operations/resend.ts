import { sql } from 'kysely';
import { isTerminalDeployment, WindlassError } from '../model/index.ts';
import { getApproval, getDeployment, getEnvironment, listUndelivered, settleControlRequest } from '../store/index.ts';
import type { RecordedControl } from '../store/index.ts';
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

/** An environment whose end is due and whose workflow is gone, or knows of another end, gets it back, and with it its end. */
async function reviveExpiry(context: Context, environmentId: string): Promise<boolean> {
  const view = await context.temporal.view(environmentId);
  const root = await getEnvironment(context.db.sql, environmentId);
  if (root.expiresAt === null || view?.expiresAtMs === Date.parse(root.expiresAt)) return false;
  await context.temporal.expiryChanged(entityOf(root));
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
      const queued = await sql<{ id: string }>`
        SELECT id FROM deployments WHERE status = 'queued' AND finished_at IS NULL AND queued_at < now() - make_interval(secs => ${graceSeconds})
        ORDER BY queued_at LIMIT ${limit}`.execute(db.sql);
      const controls = await listUndelivered(db.sql, graceSeconds, limit);
      const decisions = await sql<{ id: string; compensation: boolean; by: string; comment: string | null }>`
        SELECT a.id, a.compensation, a.decisions -> -1 ->> 'by' AS by, a.decisions -> -1 ->> 'comment' AS comment
        FROM approvals a JOIN node_runs n ON n.deployment_id = a.deployment_id AND n.index = a.index AND n.compensation = a.compensation
          JOIN deployments d ON d.id = a.deployment_id
        WHERE a.status IN ('approved', 'rejected') AND n.status = 'waitingForApproval' AND d.finished_at IS NULL
          AND a.decided_at < now() - make_interval(secs => ${graceSeconds})
          AND NOT EXISTS (SELECT 1 FROM approvals newer WHERE newer.deployment_id = a.deployment_id AND newer.index = a.index
            AND newer.compensation = a.compensation AND newer.id > a.id)
        ORDER BY a.decided_at LIMIT ${limit}`.execute(db.sql);
      const expiring = await sql<{ id: string }>`
        SELECT id FROM environments WHERE expires_at < now() + interval '2 minutes' AND NOT archived AND parent_id IS NULL
          AND status IN ('active', 'partlyDeployed', 'failed')
        ORDER BY expires_at LIMIT ${limit}`.execute(db.sql);
      const work = [
        ...queued.rows.map((row) => () => resendQueued(context, row.id)),
        ...controls.map((recorded) => () => resendControl(context, recorded)),
        ...decisions.rows.map((row) => () => resendDecision(context, row)),
        ...expiring.rows.map((row) => () => reviveExpiry(context, row.id)),
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
