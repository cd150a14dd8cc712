/** Workflows in the graph of a run: they have no records of their own, and are what their nodes are. */
import type { NodeRun, NodeStatus } from '../model/index.ts';
import { isTerminalNode } from '../model/index.ts';

/** What counts first: what somebody has to do, then what goes on, then what went wrong. */
const weightiest: readonly NodeStatus[] = [
  'waitingForApproval',
  'paused',
  'running',
  'retrying',
  'failed',
  'aborted',
  'cancelled',
];

/** The status of a workflow by those of its nodes. */
export function groupStatus(statuses: readonly NodeStatus[]): NodeStatus {
  const found = weightiest.find((status) => statuses.includes(status));
  if (found !== undefined) return found === 'retrying' ? 'running' : found;
  // Between two of its nodes it goes on, too.
  if (statuses.includes('pending')) return statuses.includes('succeeded') ? 'running' : 'pending';
  return statuses.includes('succeeded') ? 'succeeded' : 'skipped';
}

/** A workflow of a run as a row among its nodes. */
export function groupRun(alias: string, members: readonly NodeRun[]): NodeRun | null {
  const [first] = members;
  if (first === undefined) return null;
  const done = members.filter(({ action }) => action !== 'keep');
  const part = done.length > 0 ? done : members;
  const status = groupStatus(part.map((node) => node.status));
  const times = (of: (node: NodeRun) => string | null): string[] => part.flatMap((node) => of(node) ?? []).toSorted();
  const counts = part.flatMap((node) => node.counts ?? []);
  return {
    ...first,
    index: -1,
    alias,
    name: alias,
    within: first.within.slice(0, first.within.indexOf(alias)),
    environmentId: '',
    needs: [],
    action: part[0]?.action ?? first.action,
    status,
    // It has no stages; which of its nodes is at which can be seen below it.
    stage: null,
    progress: null,
    waitsFor: null,
    wait: null,
    error: null,
    reason: null,
    approvalId: null,
    ran: part.some((node) => node.ran),
    counts:
      counts.length === 0
        ? null
        : counts.reduce((sum, each) => ({
            add: sum.add + each.add,
            change: sum.change + each.change,
            destroy: sum.destroy + each.destroy,
          })),
    type: 'workflow',
    templateName: null,
    commit: null,
    startedAt: times((node) => node.startedAt)[0] ?? null,
    finishedAt: isTerminalNode(status) ? (times((node) => node.finishedAt).at(-1) ?? null) : null,
    stageTimes: {},
  };
}
