import { setTimeout as delay } from 'node:timers/promises';
import type { Client as TemporalClient } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { Client as DatabaseClient } from 'pg';
import { isTerminalDeployment, isTerminalNode, workflowIds } from '../../src/model/index.ts';
import type { Deployment, Environment, NodeRun } from '../../src/model/index.ts';
import type { ChaosClient } from './client.ts';
import type { Cluster } from './cluster.ts';
import { readProof } from './graph.ts';
import type { ChaosGraph } from './graph.ts';
import type { Kill } from './monkey.ts';

export interface CheckContext {
  readonly cluster: Cluster;
  readonly client: ChaosClient;
  readonly database: DatabaseClient;
  readonly temporal: TemporalClient;
  readonly environment: Environment;
  readonly graph: ChaosGraph;
  readonly kills: readonly Kill[];
  /** The last run: undisturbed, and whole. */
  readonly final: Deployment;
}

interface State {
  readonly resources: readonly {
    readonly mode: string;
    readonly type: string;
    readonly name: string;
    readonly instances: readonly { readonly status?: string; readonly attributes: Record<string, unknown> }[];
  }[];
}

/** Everything that must hold when all is quiet; answers what does not. */
export async function findViolations(context: CheckContext): Promise<string[]> {
  const deployments = await context.client.deployments(context.environment.id);
  const found = await Promise.all([
    checkEnvironments(context),
    checkRecords(context, deployments),
    checkAppliedOnce(context, deployments),
    checkStates(context),
  ]);
  const left = context.cluster.tools().map((tool) => `a tool still runs: ${JSON.stringify(tool)}`);
  return [...found.flat(), ...left];
}

async function checkEnvironments({ client, environment, final }: CheckContext): Promise<string[]> {
  const found: string[] = [];
  const expected = final.type === 'destroy' ? ['inactive'] : ['active'];
  const whole = await client.request<Environment>('GET', `/environments/${environment.id}`);
  if (!expected.includes(whole.status)) found.push(`the environment is ${whole.status}, not ${expected.join()}`);
  for (const child of await client.children(environment.id)) {
    const allowed = final.type === 'destroy' ? ['inactive', 'neverDeployed'] : expected;
    if (!allowed.includes(child.status)) found.push(`${child.alias ?? ''} is ${child.status}, not ${allowed.join()}`);
    if (child.flags.stateUnverified !== null)
      found.push(`${child.alias ?? ''} is unverified: ${child.flags.stateUnverified.reason}`);
  }
  return found;
}

async function checkRecords(context: CheckContext, deployments: readonly Deployment[]): Promise<string[]> {
  const { client, database, temporal, environment } = context;
  const found: string[] = [];
  for (const deployment of deployments) {
    const name = `#${deployment.number} (${deployment.id})`;
    if (!isTerminalDeployment(deployment.status)) found.push(`${name} is still ${deployment.status}`);
    for (const node of await client.nodes(deployment.id)) {
      if (!isTerminalNode(node.status))
        found.push(`${name}: ${node.alias}${node.compensation ? ' (rollback)' : ''} is still ${node.status}`);
    }
    found.push(...(await compareWithTemporal(temporal, deployment, name)));
  }
  const locks = await database.query<{ environment_id: string; info: unknown }>(
    'SELECT l.environment_id, l.info FROM state_locks l JOIN environments e ON e.id = l.environment_id WHERE e.parent_id = $1 OR e.id = $1',
    [environment.id],
  );
  for (const lock of locks.rows) found.push(`the state is locked: ${JSON.stringify(lock)}`);
  return found;
}

/** A workflow closes a moment after it has written its last record. */
const closedWithinMs = 20_000;

async function compareWithTemporal(temporal: TemporalClient, deployment: Deployment, name: string): Promise<string[]> {
  try {
    const handle = temporal.workflow.getHandle(workflowIds.deployment(deployment.id));
    let { status } = await handle.describe();
    for (const deadline = Date.now() + closedWithinMs; status.name === 'RUNNING' && Date.now() < deadline;) {
      await delay(250);
      ({ status } = await handle.describe());
    }
    if (status.name !== 'COMPLETED') return [`${name} is ${deployment.status}, and its workflow is ${status.name}`];
    const outcome = (await handle.result()) as { readonly status: string };
    return outcome.status === deployment.status
      ? []
      : [`${name} is ${deployment.status}, and its workflow says ${outcome.status}`];
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    // One that was dropped from the queue never had a workflow.
    return deployment.status === 'cancelled' &&
      /waited for its turn|before it was sent/.test(deployment.error?.message ?? '')
      ? []
      : [`${name} is ${deployment.status}, and Temporal has no workflow of it`];
  }
}

/** A resource is made once in a run, unless its tool was killed or the record says that it was tried again. */
async function checkAppliedOnce(context: CheckContext, deployments: readonly Deployment[]): Promise<string[]> {
  const { client, graph, kills, final } = context;
  const begun = new Map<string, number>();
  const found: string[] = [];
  for (const line of readProof(graph)) {
    if (line.what !== 'begin') continue;
    const key = [line.deploymentId, line.alias, line.address, line.value].join(' ');
    begun.set(key, (begun.get(key) ?? 0) + 1);
  }
  const nodes = new Map<string, NodeRun[]>();
  for (const { id } of deployments) nodes.set(id, await client.nodes(id));
  for (const [key, times] of begun) {
    const [deploymentId = '', alias = '', address = '', value = ''] = key.split(' ');
    const killed = kills.flatMap(({ tools }) => tools).filter((tool) => tool === `${deploymentId}/${alias}`).length;
    const records = (nodes.get(deploymentId) ?? []).filter((node) => node.alias === alias);
    const tries = records.reduce((most, node) => Math.max(most, node.try), 1);
    const allowed = deploymentId === final.id ? 1 : tries + killed;
    if (times > allowed)
      found.push(
        `${deploymentId} made ${alias} ${address} (${value}) ${times} times, with ${tries} tries and ${killed} kills`,
      );
  }
  if (final.type === 'deploy') {
    for (const node of graph.nodes)
      for (const address of node.resources) {
        const key = [...begun.keys()].find((text) => text.startsWith(`${final.id} ${node.alias} ${address} `));
        if (key === undefined) found.push(`the last deploy did not make ${node.alias} ${address}`);
      }
  }
  return found;
}

async function checkStates({ client, environment, graph, final }: CheckContext): Promise<string[]> {
  const found: string[] = [];
  const value = final.request.variables.find(({ name }) => name === 'value')?.value;
  for (const child of await client.children(environment.id)) {
    const node = graph.nodes.find(({ alias }) => alias === child.alias);
    if (node === undefined) continue;
    const expected = final.type === 'destroy' ? [] : [...node.resources].sort();
    const versions = await client.request<{ items: { id: number }[] }>(
      'GET',
      `/environments/${child.id}/state/versions?limit=1`,
    );
    const newest = versions.items[0];
    const state =
      newest === undefined
        ? { resources: [] }
        : await client.request<State>('GET', `/environments/${child.id}/state/versions/${newest.id}/download`);
    const real = state.resources.filter(({ instances }) => instances.length > 0);
    const addresses = real.map(({ type, name }) => `${type}.${name}`).sort();
    if (addresses.join() !== expected.join())
      found.push(`the state of ${node.alias} has [${addresses.join()}], not [${expected.join()}]`);
    for (const resource of real)
      for (const instance of resource.instances) {
        const text = JSON.stringify(instance.attributes['input']);
        if (instance.status === 'tainted' || !text.includes(`"${String(value)}"`))
          found.push(
            `${node.alias} ${resource.name} is ${instance.status ?? 'whole'} with ${text}, not ${String(value)}`,
          );
      }
  }
  return found;
}
