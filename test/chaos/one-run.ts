import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client as TemporalClient } from '@temporalio/client';
import type { Client as DatabaseClient } from 'pg';
import { isTerminalDeployment } from '../../src/model/index.ts';
import type { Environment } from '../../src/model/index.ts';
import { act, start } from './actions.ts';
import type { ActionContext } from './actions.ts';
import { findViolations } from './checks.ts';
import type { ChaosClient } from './client.ts';
import type { Cluster } from './cluster.ts';
import { drawGraph, writeGraph } from './graph.ts';
import { releaseMonkey } from './monkey.ts';
import type { Kill } from './monkey.ts';
import { createRandom } from './random.ts';

export interface RunParts {
  readonly cluster: Cluster;
  readonly client: ChaosClient;
  readonly database: DatabaseClient;
  readonly temporal: TemporalClient;
}

export interface RunReport {
  readonly run: number;
  readonly nodes: number;
  readonly kills: readonly Kill[];
  readonly story: readonly string[];
  readonly violations: readonly string[];
  readonly seconds: number;
  readonly quietSeconds: number;
}

/** The reconciliation comes every minute and leaves a minute's grace. */
const quietWithinMs = 150_000;
const endWithinMs = 20_000;
const finalWithinMs = 120_000;

export async function oneRun(parts: RunParts, seed: number, run: number): Promise<RunReport> {
  const { cluster, client } = parts;
  const begunMs = Date.now();
  const random = createRandom(seed, run, 0);
  const directory = join(cluster.directory, 'sources', String(run), 'source');
  mkdirSync(directory, { recursive: true });
  const graph = drawGraph(random, directory);
  writeGraph(graph);
  const name = `run-${run}`;
  await client.request('POST', '/templates', { name, type: 'workflow', source: { kind: 'local', directory } });
  const environment = await client.request<Environment>('POST', '/environments', { name, template: name });

  const story: string[] = [];
  const context: ActionContext = { client, random, graph, environment, story };
  const monkey = releaseMonkey(cluster, createRandom(seed, run, 1), random.whole(1, 4));
  const violations: string[] = [];
  try {
    await act(context, endWithinMs);
  } catch (error) {
    violations.push(`an action failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  } finally {
    await monkey.stop();
  }
  await cluster.ready();
  const restBeganMs = Date.now();
  if (!(await quiet(client, environment.id))) {
    const open = (await client.deployments(environment.id)).filter(({ status }) => !isTerminalDeployment(status));
    const nodes = await Promise.all(
      open.map(async ({ id }) => (await client.nodes(id)).map((node) => [node.alias, node.status, node.stage])),
    );
    violations.push(
      `no rest after ${quietWithinMs / 1000} s: ${JSON.stringify(open.map(({ number, status }, at) => [number, status, nodes[at]]))}`,
    );
  }
  const quietSeconds = (Date.now() - restBeganMs) / 1000;
  if (violations.length === 0) {
    const asked = await start(context, random.chance(0.3) ? { type: 'destroy' } : {});
    const final = asked === null ? null : await client.ended(asked.id, finalWithinMs);
    if (final === null) violations.push(`the last clean run did not end: ${asked?.id ?? 'refused'}`);
    else {
      if (final.status !== 'succeeded') {
        const failed = (await client.nodes(final.id)).filter(({ status }) => status !== 'succeeded');
        const why = failed.map(({ alias, status, error, reason }) => [
          alias,
          status,
          error?.message ?? reason?.message,
        ]);
        violations.push(`the last clean run ${final.id} is ${final.status}: ${JSON.stringify([final.error, why])}`);
      }
      violations.push(...(await findViolations({ ...parts, environment, graph, kills: monkey.kills, final })));
    }
  }
  const seconds = (Date.now() - begunMs) / 1000;
  return { run, nodes: graph.nodes.length, kills: monkey.kills, story, violations, seconds, quietSeconds };
}

/** No run of the environment is open; false when that does not come about in time. */
async function quiet(client: ChaosClient, environmentId: string): Promise<boolean> {
  for (const deadline = Date.now() + quietWithinMs; Date.now() < deadline; await delay(250)) {
    const all = await client.deployments(environmentId);
    if (all.every(({ status }) => isTerminalDeployment(status))) return true;
  }
  return false;
}
