import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client as TemporalClient } from '@temporalio/client';
import type { Pool } from 'pg';
import { isTerminalDeployment } from '../../src/model/index.ts';
import type { Deployment, Environment } from '../../src/model/index.ts';
import { act, decideApprovals, start, verifyMarked } from './actions.ts';
import type { ActionContext, Counts } from './actions.ts';
import { findDeviations, findViolations } from './checks.ts';
import type { CheckContext } from './checks.ts';
import { Refused } from './client.ts';
import type { ChaosClient } from './client.ts';
import type { Cluster } from './cluster.ts';
import { drawGraph, writeGraph } from './graph.ts';
import type { Kill, Monkey } from './monkey.ts';
import { createRandom } from './random.ts';

export interface RunParts {
  readonly cluster: Cluster;
  readonly client: ChaosClient;
  readonly database: Pool;
  readonly temporal: TemporalClient;
  /** Goes on all the time, for all runs together. */
  readonly monkey: Monkey;
  readonly counts: Counts;
}

export interface RunReport {
  readonly run: number;
  readonly nodes: number;
  /** What was killed while it went on. */
  readonly kills: readonly Kill[];
  readonly story: readonly string[];
  /** Endings of its deployments. */
  readonly endings: readonly string[];
  readonly violations: readonly string[];
  readonly seconds: number;
}

/** The reconciliation comes every minute and leaves a minute's grace. */
const quietWithinMs = 240_000;
const endWithinMs = 20_000;
const finalWithinMs = 240_000;
/** Of a run that takes longer the evidence is kept, too. */
const slowSeconds = 120;

/** One environment from its first deploy to its last, while parts of Windlass die, with everything that is checked. */
export async function oneRun(parts: RunParts, seed: number, run: number): Promise<RunReport> {
  const { cluster, client, monkey, counts } = parts;
  const begunMs = Date.now();
  const random = createRandom(seed, run, 0);
  const directory = join(cluster.directory, 'sources', String(run), 'source');
  mkdirSync(directory, { recursive: true });
  const graph = drawGraph(random, directory, run);
  writeGraph(graph);
  const name = `run-${run}`;
  await makeOnce(client, '/templates', { name, type: 'workflow', source: { kind: 'local', directory } });
  const environment = await makeOnce<Environment>(client, '/environments', { name, template: name });

  const story: string[] = [];
  const clock = (): string => `${((Date.now() - begunMs) / 1000).toFixed(1)} s`;
  const context: ActionContext = {
    client,
    random,
    graph,
    environment,
    story,
    asked: new Map(),
    rejected: new Set(),
    counts,
    clock,
  };
  const checking: CheckContext = {
    ...parts,
    environment,
    graph,
    kills: monkey.kills,
    asked: context.asked,
    rejected: context.rejected,
    finalId: null,
  };
  const approvals = decideApprovals(context, createRandom(seed, run, 2));
  const violations: string[] = [];
  try {
    await act(context, endWithinMs);
    const open = await unrest(client, environment.id);
    if (open !== null) violations.push(open);
    else violations.push(...(await findViolations(checking)));
    if (violations.length === 0) {
      approvals.approveAll();
      violations.push(...(await lastRun(context, checking, parts)));
    }
    await approvals.stop();
  } catch (error) {
    violations.push(`it broke off: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    await approvals.stop().catch(() => undefined);
  }
  const deployments = await client.deployments(environment.id).catch(() => []);
  const report: RunReport = {
    run,
    nodes: graph.nodes.length,
    kills: monkey.kills.filter(({ at }) => at.getTime() >= begunMs),
    story,
    endings: deployments.map(({ number, type, status }) => `#${number} ${type} ${status}`).sort(),
    violations,
    seconds: (Date.now() - begunMs) / 1000,
  };
  if (violations.length > 0 || report.seconds > slowSeconds) await keepEvidence(parts, report, environment.id);
  return report;
}

/**
 * An API that dies between making a thing and saying so has made it: the repeated call is told that the name is taken.
 * Nothing is there twice, and it is looked up.
 */
async function makeOnce<T>(
  client: ChaosClient,
  path: string,
  body: Record<string, unknown> & { readonly name: string },
): Promise<T> {
  try {
    return await client.request<T>('POST', path, body);
  } catch (error) {
    if (!(error instanceof Refused) || !/already has/.test(error.reason)) throw error;
    return client.request<T>('GET', `${path}/${body.name}`);
  }
}

/** A whole deploy or destroy, which has to succeed though parts of Windlass die: only its tools are spared. */
async function lastRun(context: ActionContext, checking: CheckContext, { monkey }: RunParts): Promise<string[]> {
  const { client, random } = context;
  const request = random.chance(0.3) ? { type: 'destroy' } : {};
  monkey.spare(context.graph.nodes.map(({ alias }) => alias));
  await verifyMarked(context);
  const asked = await start(context, request);
  if (asked === null) return [`the last run was refused: ${context.story.at(-1) ?? ''}`];
  const final: Deployment | null = await client.ended(asked.id, finalWithinMs);
  if (final === null) return [`the last run did not end: ${asked.id}`];
  const found: string[] = [];
  if (final.status !== 'succeeded') {
    const failed = (await client.nodes(final.id)).filter(({ status }) => status !== 'succeeded');
    const why = failed.map(({ alias, status, error, reason }) => [alias, status, error?.message ?? reason?.message]);
    found.push(`the last run ${final.id} is ${final.status}: ${JSON.stringify([final.error, why])}`);
  }
  const after = { ...checking, finalId: final.id };
  found.push(...(await findViolations(after)), ...(await findDeviations(after, final)));
  return found;
}

/** Waits until no run of the environment is open; answers what still is when that takes too long. */
async function unrest(client: ChaosClient, environmentId: string): Promise<string | null> {
  let open: Deployment[] = [];
  for (const deadline = Date.now() + quietWithinMs; Date.now() < deadline; await delay(300)) {
    open = (await client.deployments(environmentId)).filter(({ status }) => !isTerminalDeployment(status));
    if (open.length === 0) return null;
  }
  const nodes = await Promise.all(
    open.map(async ({ id }) => (await client.nodes(id)).map((node) => [node.alias, node.status, node.stage])),
  );
  const shown = JSON.stringify(open.map(({ number, status }, at) => [number, status, nodes[at]]));
  return `no rest after ${quietWithinMs / 1000} s: ${shown}`;
}

/** Writes down what the database knows of a run that has violated something: it is gone when the cluster is. */
async function keepEvidence({ cluster, database }: RunParts, report: RunReport, environmentId: string): Promise<void> {
  const rows = async (text: string): Promise<unknown[]> => (await database.query<object>(text, [environmentId])).rows;
  const evidence = {
    report,
    deployments: await rows('SELECT * FROM deployments WHERE environment_id = $1 ORDER BY number'),
    environments: await rows('SELECT * FROM environments WHERE id = $1 OR parent_id = $1 ORDER BY alias'),
    nodes: await rows(
      'SELECT n.* FROM node_runs n JOIN deployments d ON d.id = n.deployment_id WHERE d.environment_id = $1 ORDER BY d.number, n.index',
    ),
    events: await rows(
      'SELECT e.* FROM events e WHERE e.deployment_id IN (SELECT id FROM deployments WHERE environment_id = $1) OR e.environment_id IN (SELECT id FROM environments WHERE id = $1 OR parent_id = $1) ORDER BY id',
    ),
    logs: await rows(
      'SELECT l.* FROM log_chunks l JOIN deployments d ON d.id = l.deployment_id WHERE d.environment_id = $1 ORDER BY l.id',
    ),
    grants: await rows(
      'SELECT id, environment_id, deployment_id, index, compensation, fenced_at, created_at FROM state_grants WHERE environment_id IN (SELECT id FROM environments WHERE parent_id = $1) ORDER BY created_at',
    ),
    states: await rows(
      'SELECT id, environment_id, serial, lineage, md5, resources, deployment_id, created_at FROM state_versions WHERE environment_id IN (SELECT id FROM environments WHERE parent_id = $1) ORDER BY id',
    ),
    workers: (await database.query<object>('SELECT * FROM workers ORDER BY started_at')).rows,
  };
  const directory = join(cluster.directory, 'violations');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `run-${report.run}.json`), JSON.stringify(evidence, null, 1));
}
