/** What activities keep in the database, as far as workflows see of it, in a small object for each run. */
import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { workflowIds } from '../model/index.ts';
import type {
  CompensationNode,
  ControlRequest,
  DeploymentActivities,
  DeploymentStatus,
  NodeOutcome,
  NodeResult,
  NodeUpdate,
  ResolvedRun,
  RunActivities,
  RunNode,
  RunNodeInput,
  StopMode,
} from '../model/index.ts';

/** What the tool does in one call; `nth` counts the calls for the node from 1. */
export type Perform = (call: RunNodeInput, nth: number) => NodeOutcome | Promise<NodeOutcome>;

export const succeeded: NodeResult = { status: 'succeeded', changedOutputs: true, ran: true };
export const failed: NodeResult = { status: 'failed', class: 'tool', message: 'it broke', changedState: true };

/** One run as the records have it. */
export interface FakeRun {
  readonly id: string;
  readonly resolved: ResolvedRun;
  /** What tools do, by alias; what is not there succeeds. */
  readonly perform: Readonly<Record<string, Perform>>;
  /** Waited for while the run is resolved. */
  readonly resolving: () => Promise<void>;
  /** Requests that the API has written down, by id. */
  readonly requests: Map<string, ControlRequest>;
  stop: StopMode | null;
  /** A run that changes the environment waits for this one. */
  otherIsDue: boolean;
  stopsLookedUp: number;
  readonly calls: RunNodeInput[];
  /** Most calls that ran at the same time. */
  mostAtOnce: number;
  atWork: number;
  readonly updates: (NodeUpdate & { readonly compensation?: true })[];
  readonly statuses: DeploymentStatus[];
  ending: { readonly status: DeploymentStatus; readonly message?: string | undefined } | null;
  /** How often it was read: once, and once more for each time that it has continued as new. */
  resolutions: number;
}

export function makeRun(
  id: string,
  nodes: readonly RunNode[],
  more: Partial<Pick<ResolvedRun, 'onFailure' | 'maxParallel'> & Pick<FakeRun, 'perform' | 'resolving'>> = {},
): FakeRun {
  const { onFailure = 'stop', maxParallel = 200, perform = {}, resolving = () => Promise.resolve() } = more;
  const facts = { title: 'Deploy "shop" #1', type: 'deploy', environmentId: 'env_1', projectId: 'prj_1' } as const;
  return {
    id,
    resolved: { ...facts, nodes, onFailure, maxParallel },
    perform,
    resolving,
    requests: new Map(),
    stop: null,
    otherIsDue: false,
    stopsLookedUp: 0,
    calls: [],
    mostAtOnce: 0,
    atWork: 0,
    updates: [],
    statuses: [],
    ending: null,
    resolutions: 0,
  };
}

/** Tells the server that the call lives, so that it hears of a cancel. */
const heartbeatEveryMs = 50;

async function runNode(run: FakeRun, call: RunNodeInput): Promise<NodeOutcome> {
  run.calls.push(call);
  const nth = run.calls.filter(({ alias, compensation }) => alias === call.alias && compensation === call.compensation);
  run.atWork++;
  run.mostAtOnce = Math.max(run.mostAtOnce, run.atWork);
  const context = Context.current();
  const beating = setInterval(() => context.heartbeat(), heartbeatEveryMs);
  try {
    return await (run.perform[call.alias] ?? (() => succeeded))(call, nth.length);
  } finally {
    clearInterval(beating);
    run.atWork--;
  }
}

/** Takes back what the run has begun. */
function compensationOf({ calls, resolved }: FakeRun): CompensationNode[] {
  const begun = new Set(calls.map(({ index }) => index));
  return resolved.nodes.map((_, index) => ({ index, action: begun.has(index) ? 'destroy' : 'keep' }));
}

async function watchedResult(client: Client, id: string): Promise<NodeResult> {
  return client.workflow
    .getHandle(id)
    .result()
    .then(
      (result: NodeResult) => result,
      () => ({ status: 'failed', class: 'internal', message: 'ended from outside', changedState: true }),
    );
}

/** The activities of a run, on records in memory. `client` lets no time pass while it waits. */
export function createFakeActivities(
  runs: ReadonlyMap<string, FakeRun>,
  client: Client,
): { readonly records: DeploymentActivities; readonly tools: RunActivities } {
  const find = (id: string): FakeRun => {
    const run = runs.get(id);
    if (run === undefined) throw ApplicationFailure.nonRetryable(`nobody knows of ${id}`, 'refused');
    return run;
  };
  const records: DeploymentActivities = {
    async resolveDeployment({ deploymentId }) {
      const run = find(deploymentId);
      run.resolutions++;
      await run.resolving();
      return run.resolved;
    },
    async takeControl({ deploymentId, requestId }) {
      const run = find(deploymentId);
      const request = run.requests.get(requestId ?? '');
      if (request === undefined) return { kind: 'refused', message: 'nobody has asked for that' };
      run.requests.delete(requestId ?? '');
      const { kind } = request;
      if (kind === 'cancel' || kind === 'abort' || kind === 'rollback') run.stop = kind;
      return { kind: 'taken', request };
    },
    makeWay: async ({ deploymentId }) => {
      const run = find(deploymentId);
      if (run.otherIsDue) run.stop = 'cancel';
      return { stop: run.otherIsDue };
    },
    async recordedStop({ deploymentId }) {
      const run = find(deploymentId);
      run.stopsLookedUp++;
      return { stop: run.stop };
    },
    async recordNodes({ deploymentId, updates, compensation }) {
      find(deploymentId).updates.push(
        ...updates.map((update) => ({ ...update, ...(compensation && { compensation }) })),
      );
    },
    async setDeploymentStatus({ deploymentId, status, stopMode }) {
      const run = find(deploymentId);
      run.statuses.push(status);
      run.stop = stopMode ?? run.stop;
    },
    planCompensation: async ({ deploymentId }) => compensationOf(find(deploymentId)),
    async finishDeployment({ deploymentId, status, message }) {
      find(deploymentId).ending = { status, message };
      return { status };
    },
    async watchNodes({ deploymentId, indexes, compensation = false }) {
      const { nodes } = find(deploymentId).resolved;
      const context = Context.current();
      const beating = setInterval(() => context.heartbeat(), heartbeatEveryMs);
      try {
        return await Promise.race(
          indexes.map(async (index) => {
            const id = workflowIds.node(deploymentId, nodes[index]?.alias ?? '', compensation);
            return [{ index, result: await watchedResult(client, id) }];
          }),
        );
      } finally {
        clearInterval(beating);
      }
    },
  };
  return { records, tools: { runNode: (call) => runNode(find(call.deploymentId), call) } };
}
