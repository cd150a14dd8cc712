import { isPassed } from '../model/index.ts';
import type { Deployment, NodeRun } from '../model/index.ts';

type WaitingNode = Pick<NodeRun, 'index' | 'alias' | 'action' | 'status' | 'needs' | 'compensation' | 'approvalId'>;
type WaitingRun = Pick<Deployment, 'type' | 'status' | 'paused' | 'maxParallel'>;

type RetryingNode = Pick<NodeRun, 'status' | 'error' | 'wait'>;

/** Seconds say enough, and the zone must be said. */
const momentOf = (time: string): string => `${time.slice(0, 10)} ${time.slice(11, 19)} UTC`;

/** Who or what keeps a node that tries again later, and until when; null when it is its own failure alone. */
export function retryText({ status, error, wait }: RetryingNode): string | null {
  if (status !== 'retrying' || wait === null) return null;
  const { until, account, lock } = wait;
  if (error?.class === 'lock' && lock !== null)
    return `its state is locked by ${lock.by} since ${momentOf(lock.since)}, tries again at ${momentOf(until)}`;
  if (account !== null) return `waits until ${momentOf(until)}: ${account} asked for slower calls`;
  return null;
}

/**
 * What nodes wait for that could run as far as their needs go: a place of `maxParallel`, a worker, or the person who has
 * paused the run. By index; nodes that wait for others of the run, or for a decision, are left out. Told from the records
 * alone, so that saying it costs a run nothing.
 */
export function waitingTexts(run: WaitingRun, nodes: readonly WaitingNode[]): Map<number, string> {
  const texts = new Map<number, string>();
  if (run.status !== 'running') return texts;
  const forward = nodes.filter((node) => !node.compensation);
  const busy = forward.filter(({ status }) => status === 'running').length;
  const unmet = new Set(forward.filter(({ status }) => !isPassed(status)).map(({ alias }) => alias));
  const deploysGoOn =
    run.type === 'deploy' && forward.some((node) => node.action === 'deploy' && unmet.has(node.alias));
  const full = run.maxParallel !== null && busy >= run.maxParallel;
  const place = full ? `waits for a place: ${busy} of ${run.maxParallel} are running` : null;
  for (const { index, action, status, needs, approvalId } of forward) {
    if (status === 'waitingForApproval' && approvalId === null) {
      texts.set(index, place === null ? 'approved, goes on' : `approved, ${place}`);
    } else if (status === 'pending' && action !== 'keep' && !needs.some((need) => unmet.has(need))) {
      // Removed nodes come last.
      if (action === 'destroy' && deploysGoOn) texts.set(index, 'waits until all deploys have succeeded');
      else texts.set(index, run.paused ? 'waits, because the run is paused' : (place ?? 'waits for a free worker'));
    }
  }
  return texts;
}
