import { setTimeout as delay } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import { isTerminalDeployment, isTerminalNode, workflowIds } from '../../src/model/index.ts';
import type { DeploymentOutcome, DeploymentStatus, EnvironmentView, NodeStatus } from '../../src/model/index.ts';
import type { CheckContext } from './checks.ts';

/** What is needed to look at the records of an environment. */
export type RecordsContext = Pick<CheckContext, 'database' | 'temporal' | 'environment'> & {
  readonly cluster: Pick<CheckContext['cluster'], 'tools'>;
};

export interface DeploymentRecord {
  readonly id: string;
  readonly number: number;
  readonly type: string;
  readonly status: DeploymentStatus;
  readonly request: { readonly onFailure?: string };
  readonly error: { readonly message: string } | null;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
}

export interface NodeRecord {
  readonly deployment_id: string;
  readonly alias: string;
  readonly index: number;
  readonly compensation: boolean;
  readonly action: string;
  readonly status: NodeStatus;
  readonly try: number;
  readonly began_change: boolean;
  readonly error: { readonly class: string; readonly message: string } | null;
  readonly started_at: Date | null;
  readonly open: boolean | null;
}

/** What the database says about one environment. */
export interface Records {
  readonly deployments: readonly DeploymentRecord[];
  readonly nodes: readonly NodeRecord[];
  /** Each time that a node was told to begin again, from the events. */
  readonly retries: readonly { readonly deploymentId: string; readonly alias: string }[];
}

export async function readRecords({ database, environment }: RecordsContext): Promise<Records> {
  const deployments = await database.query<DeploymentRecord>(
    'SELECT id, number, type, status, request, error, started_at, finished_at FROM deployments WHERE environment_id = $1 ORDER BY number',
    [environment.id],
  );
  const nodes = await database.query<NodeRecord>(
    `SELECT n.deployment_id, n.alias, n.index, n.compensation, n.action, n.status, n.try, n.began_change, n.error, n.started_at,
       (n.journal->>'open')::boolean AS open
     FROM node_runs n JOIN deployments d ON d.id = n.deployment_id WHERE d.environment_id = $1 ORDER BY d.number, n.compensation, n.index`,
    [environment.id],
  );
  const retries = await database.query<{ deploymentId: string; alias: string }>(
    `SELECT d.id AS "deploymentId", n.alias FROM node_runs n JOIN deployments d ON d.id = n.deployment_id
       JOIN events e ON e.deployment_id = d.id AND e.alias = n.alias AND e.type = 'node.status' AND e.data->>'status' = 'pending'
     WHERE d.environment_id = $1 AND NOT n.compensation AND NOT COALESCE((e.data->>'compensation')::boolean, false)`,
    [environment.id],
  );
  return { deployments: deployments.rows, nodes: nodes.rows, retries: retries.rows };
}

export const nameOf = ({ number, id }: DeploymentRecord): string => `#${number} (${id})`;
const nodeName = ({ alias, compensation }: NodeRecord): string => `${alias}${compensation ? ' (rollback)' : ''}`;
export const nodesOf = ({ nodes }: Records, deploymentId: string): NodeRecord[] =>
  nodes.filter((node) => node.deployment_id === deploymentId);

/** Nothing may be in progress, locked, or waited for. */
export async function checkNothingOpen(context: RecordsContext, records: Records): Promise<string[]> {
  const { database, environment, cluster } = context;
  const found: string[] = [];
  for (const deployment of records.deployments) {
    if (!isTerminalDeployment(deployment.status)) found.push(`${nameOf(deployment)} is still ${deployment.status}`);
    if (deployment.finished_at === null) found.push(`${nameOf(deployment)} has no end`);
    for (const node of nodesOf(records, deployment.id)) {
      if (!isTerminalNode(node.status)) found.push(`${nameOf(deployment)}: ${nodeName(node)} is still ${node.status}`);
      if (node.open === true) found.push(`${nameOf(deployment)}: the journal of ${nodeName(node)} is still open`);
    }
  }
  const family = 'SELECT id FROM environments WHERE id = $1 OR parent_id = $1';
  const rows = async (text: string): Promise<unknown[]> => (await database.query<object>(text, [environment.id])).rows;
  const locks = await rows(
    `SELECT environment_id, lock_id, deployment_id, grant_id, info FROM state_locks WHERE environment_id IN (${family})`,
  );
  found.push(...locks.map((lock) => `the state is locked: ${JSON.stringify(lock)}`));
  const waiting = await rows(
    `SELECT id, deployment_id FROM approvals WHERE status = 'pending' AND environment_id IN (${family})`,
  );
  found.push(...waiting.map((approval) => `an approval is still pending: ${JSON.stringify(approval)}`));
  const progress = await rows(
    `SELECT id, alias, status FROM environments WHERE (id = $1 OR parent_id = $1) AND status IN ('deployInProgress', 'destroyInProgress')`,
  );
  found.push(...progress.map((row) => `an environment is still in progress: ${JSON.stringify(row)}`));
  const ours = new Set(records.deployments.map(({ id }) => id));
  for (const tool of cluster.tools())
    if (ours.has(tool.deploymentId)) found.push(`a tool still runs: ${JSON.stringify(tool)}`);
  return found;
}

const retryForMs = 90_000;

/** Temporal may be down at the moment. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + retryForMs; ; await delay(500)) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof WorkflowNotFoundError || Date.now() > deadline) throw error;
    }
  }
}

/** A workflow closes a moment after it has written its last record, longer after when a worker has just died. */
const closedWithinMs = 60_000;

async function closedStatus({ temporal }: RecordsContext, workflowId: string): Promise<string> {
  const handle = temporal.workflow.getHandle(workflowId);
  for (const deadline = Date.now() + closedWithinMs; ; await delay(500)) {
    const { status } = await patiently(() => handle.describe());
    if (status.name !== 'RUNNING' || Date.now() > deadline) return status.name;
  }
}

/** Every workflow is closed and says what the records say. */
export async function checkTemporal(context: RecordsContext, records: Records): Promise<string[]> {
  const { temporal, environment } = context;
  const found = await Promise.all(records.deployments.map((deployment) => compareRun(context, records, deployment)));
  if (records.deployments.length === 0) return found.flat();
  const handle = temporal.workflow.getHandle(workflowIds.environment(environment.id));
  const view = await patiently(() => handle.query<EnvironmentView>('view'));
  const held = [...view.queue, ...view.running].map(({ deploymentId }) => deploymentId);
  if (held.length > 0) found.push([`the environment's workflow still holds ${held.join()}`]);
  return found.flat();
}

async function compareRun(context: RecordsContext, records: Records, deployment: DeploymentRecord): Promise<string[]> {
  const workflowId = workflowIds.deployment(deployment.id);
  const name = nameOf(deployment);
  const found: string[] = [];
  try {
    const status = await closedStatus(context, workflowId);
    if (status !== 'COMPLETED') return [`${name} is ${deployment.status}, and its workflow is ${status}`];
    const handle = context.temporal.workflow.getHandle(workflowId);
    const outcome = (await patiently(() => handle.result())) as DeploymentOutcome;
    if (outcome.status !== deployment.status)
      found.push(`${name} is ${deployment.status}, and its workflow says ${outcome.status}`);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    // One that was dropped from the queue never had a workflow.
    return deployment.status === 'cancelled' && deployment.started_at === null
      ? []
      : [`${name} is ${deployment.status}, and Temporal has no workflow of it`];
  }
  for (const node of nodesOf(records, deployment.id)) {
    if (node.started_at === null) continue;
    const status = await closedStatus(context, workflowIds.node(deployment.id, node.alias, node.compensation));
    if (status !== 'COMPLETED')
      found.push(`${name}: ${nodeName(node)} is ${node.status}, and its workflow is ${status}`);
  }
  return found;
}

interface EventRecord {
  readonly type: string;
  readonly deployment_id: string;
  readonly alias: string | null;
  readonly data: { readonly status?: string; readonly index?: number; readonly compensation?: boolean };
}

/** Who follows the events knows in the end what the records say, and sees a run end once. */
export async function checkEvents({ database, environment }: RecordsContext, records: Records): Promise<string[]> {
  const { rows } = await database.query<EventRecord>(
    `SELECT e.type, e.deployment_id, e.alias, e.data FROM events e JOIN deployments d ON d.id = e.deployment_id
     WHERE d.environment_id = $1 AND e.type IN ('deployment.status', 'node.status') ORDER BY e.id`,
    [environment.id],
  );
  const found: string[] = [];
  for (const deployment of records.deployments) {
    const own = rows.filter((event) => event.deployment_id === deployment.id);
    const said = own.filter(({ type }) => type === 'deployment.status').map(({ data }) => data.status ?? '');
    if (said.at(-1) !== deployment.status)
      found.push(`${nameOf(deployment)} is ${deployment.status}, and its events say ${said.join(' ')}`);
    const ends = said.filter((status) => isTerminalDeployment(status as DeploymentStatus));
    if (ends.length !== 1)
      found.push(`${nameOf(deployment)} ends ${ends.length} times in its events: ${said.join(' ')}`);
    for (const node of nodesOf(records, deployment.id)) {
      const of = own.filter(
        ({ type, data }) =>
          type === 'node.status' && data.index === node.index && (data.compensation ?? false) === node.compensation,
      );
      const last = of.at(-1)?.data.status;
      // One that was never touched was not told about.
      if (last === undefined ? node.status !== 'pending' && node.started_at !== null : last !== node.status)
        found.push(
          `${nameOf(deployment)}: ${nodeName(node)} is ${node.status}, and its events say ${last ?? 'nothing'}`,
        );
    }
  }
  return found;
}

/** A tool that is killed in a change may have made what no state knows: its node succeeds after all, or says so. */
export async function checkMarked({ database, environment }: RecordsContext): Promise<string[]> {
  const { rows } = await database.query<{ number: number; deployment_id: string; alias: string; message: string }>(
    `SELECT d.number, n.deployment_id, n.alias, n.error->>'message' AS message FROM node_runs n
       JOIN deployments d ON d.id = n.deployment_id
     WHERE d.environment_id = $1 AND n.status = 'failed' AND (n.journal->>'changes')::boolean
       AND n.error->>'message' ~ 'ended by signal|was killed'
       AND NOT EXISTS (SELECT 1 FROM events e WHERE e.deployment_id = n.deployment_id AND e.alias = n.alias
         AND jsonb_typeof(e.data->'stateUnverified') = 'object')`,
    [environment.id],
  );
  return rows.map(
    ({ number, deployment_id, alias, message }) =>
      `#${number} (${deployment_id}): the tool of ${alias} was killed in a change, and nothing says that its state is unverified: ${message}`,
  );
}

/** Every ending that is not a success has a cause that this run of chaos has given. */
export function checkCauses({ asked, rejected, kills }: CheckContext, records: Records): string[] {
  const found: string[] = [];
  const killed = new Set(kills.flatMap(({ tools }) => tools));
  for (const deployment of records.deployments) {
    const of = asked.get(deployment.id);
    if (of === undefined) {
      found.push(`${nameOf(deployment)} was never asked for`);
      continue;
    }
    const name = nameOf(deployment);
    const nodes = nodesOf(records, deployment.id);
    const stopped = of.stops.size > 0 || rejected.has(deployment.id);
    const unexplained = nodes.filter(
      (node) =>
        node.status === 'failed' &&
        !killed.has(`${deployment.id}/${node.alias}`) &&
        !waitsForPerson(node, killed) &&
        !(of.failing.includes(node.alias) && /on purpose/.test(node.error?.message ?? '')) &&
        !lacksUpstream(node, nodes),
    );
    for (const node of unexplained)
      found.push(`${name}: ${nodeName(node)} failed without a cause: ${node.error?.message ?? 'no message'}`);
    const failed = nodes.some((node) => node.status === 'failed' && !node.compensation);
    const reads = deployment.type === 'plan';
    const cause: Partial<Record<DeploymentStatus, boolean>> = {
      failed: failed || refusedRun(deployment),
      cancelled:
        of.stops.has('cancel') ||
        (of.stops.has('abort') && deployment.started_at === null) ||
        rejected.has(deployment.id) ||
        reads,
      aborted: of.stops.has('abort'),
      rolledBack: of.stops.has('rollback') || (deployment.request.onFailure === 'rollback' && failed),
      rollbackFailed: nodes.some((node) => node.compensation && killed.has(`${deployment.id}/${node.alias}`)),
    };
    if (cause[deployment.status] === false)
      found.push(`${name} is ${deployment.status} without a cause: ${deployment.error?.message ?? 'no message'}`);
    for (const node of nodes)
      if ((node.status === 'aborted' || node.status === 'cancelled') && !stopped && !reads)
        found.push(`${name}: ${nodeName(node)} is ${node.status}, and nobody stopped the run`);
  }
  return found;
}

/** Its tool was killed in an earlier run, and nobody has looked at its state since. */
function waitsForPerson({ alias, error }: NodeRecord, killed: ReadonlySet<string>): boolean {
  return /unverified/.test(error?.message ?? '') && [...killed].some((tool) => tool.endsWith(`/${alias}`));
}

/** It reads an output of a node that was left out, or that has none yet. */
function lacksUpstream(node: NodeRecord, nodes: readonly NodeRecord[]): boolean {
  if (node.error?.class !== 'definition' || !/outputs?/.test(node.error.message)) return false;
  return nodes.some(({ status, action }) => status === 'skipped' || status === 'succeeded' || action === 'keep');
}

/** Refused when it was its turn, with a reason that concerns what was asked. */
function refusedRun({ error }: DeploymentRecord): boolean {
  return /would be left without it|failed half-way and (was|were) left out|unverified|no earlier successful deployment|the graph has no node/.test(
    error?.message ?? '',
  );
}
