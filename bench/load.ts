/**
 * How Windlass answers while many environments are deployed at once, many follow them and others list: once with all in
 * one process on the embedded database, once with a server, two workers and PostgreSQL.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import type { Deployment, Page } from '../src/model/index.ts';
import { startCluster } from '../test/support/cluster.ts';
import { freePort, startUp } from '../test/support/processes.ts';
import type { TestClient } from '../test/support/windlass.ts';
import { chain, writeWindlass } from './graphs.ts';

export interface LoadSize {
  readonly environments: number;
  readonly streams: number;
  readonly waves: number;
}

export interface LoadRow extends LoadSize {
  readonly name: string;
  readonly lists: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  /** From the first request of a wave to the end of its last run; the median of the waves. */
  readonly waveMs: number;
  /** Runs that did not succeed, and streams that missed an event or the end. */
  readonly lost: number;
  /** Processor time of the API's process over all waves. */
  readonly cpuSeconds: number;
  /** Resident memory of the API's process after each wave, when it is idle again. */
  readonly memoryMb: readonly number[];
  /** What the project holds itself to, for the 99th percentile. */
  readonly limitMs: number;
}

const limitMs = 500;
const nodesPerEnvironment = 2;
const listers = 4;
const betweenListsMs = 50;
/** Deployments asked for at the same moment by one client. */
const requestsAtOnce = 20;
const settleMs = 15_000;

/** Paths that people and scripts look at while runs go on. */
const listPaths = [
  '/environments?limit=50',
  '/deployments?limit=50',
  '/approvals?limit=50',
  '/templates?limit=50',
] as const;

interface Target {
  readonly name: string;
  readonly client: TestClient;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Everything in one process, as `windlass up` runs it. */
export async function startEmbeddedTarget(root: string): Promise<Target> {
  const dataDirectory = join(root, 'load-data');
  mkdirSync(dataDirectory, { recursive: true });
  const up = await startUp({ dataDirectory, port: await freePort() });
  return { name: 'one process, embedded database', client: up.client, pid: up.pid, stop: () => up.stop() };
}

/** A server and two workers on PostgreSQL. */
export async function startClusterTarget(): Promise<Target> {
  const cluster = await startCluster({ workers: 2 });
  return {
    name: 'server, two workers, PostgreSQL',
    client: cluster.api.client,
    pid: cluster.api.pid,
    stop: () => cluster.stop(),
  };
}

/** Runs the waves against one target. */
export async function measureLoad(target: Target, root: string, size: LoadSize): Promise<LoadRow> {
  const { client } = target;
  const directory = join(root, 'load-source');
  mkdirSync(directory, { recursive: true });
  writeWindlass(directory, chain(nodesPerEnvironment), 'empty');
  await client.createTemplate({ name: 'load', type: 'workflow', source: { kind: 'local', directory } });
  const environments: string[] = [];
  for (let index = 0; index < size.environments; index++)
    environments.push((await client.createEnvironment({ name: `load-${index}`, template: 'load' })).id);
  const latencies: number[] = [];
  const memoryMb: number[] = [];
  const waveMs: number[] = [];
  let lost = 0;
  const cpuBefore = cpuSecondsOf(target.pid);
  for (let wave = 0; wave < size.waves; wave++) {
    const done = new AbortController();
    const listing = Promise.all(
      Array.from({ length: listers }, (_, lister) => listWhile(client, lister, latencies, done.signal)),
    );
    const begun = performance.now();
    const runs = await startAll(client, environments);
    const followed = Array.from({ length: size.streams }, (_, index) =>
      follow(client, runs[index % runs.length] ?? ''),
    );
    const ended = await Promise.all(followed);
    const finished = await Promise.all(runs.map((id) => client.ended(id)));
    waveMs.push(performance.now() - begun);
    done.abort();
    await listing;
    const losses = [...finished.flatMap(lostRun), ...(await lostStreams(client, runs, ended))];
    for (const loss of losses) console.log(`  lost: ${loss}`);
    lost += losses.length;
    await delay(settleMs);
    memoryMb.push(residentMb(target.pid));
    console.log(
      `  ${target.name}: wave ${wave + 1} of ${size.waves} ended after ${((waveMs.at(-1) ?? 0) / 1000).toFixed(1)} s, ` +
        `p99 of a list so far ${percentile(latencies, 0.99)} ms, ${memoryMb.at(-1)} MB, ${lost} lost`,
    );
  }
  return {
    ...size,
    name: target.name,
    lists: latencies.length,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    worstMs: percentile(latencies, 1),
    waveMs: percentile(waveMs, 0.5),
    lost,
    cpuSeconds: Number((cpuSecondsOf(target.pid) - cpuBefore).toFixed(1)),
    memoryMb,
    limitMs,
  };
}

async function startAll(client: TestClient, environments: readonly string[]): Promise<string[]> {
  const runs: string[] = [];
  for (let from = 0; from < environments.length; from += requestsAtOnce) {
    const some = environments.slice(from, from + requestsAtOnce);
    const begun = await Promise.all(some.map((id) => client.start(id, { force: true })));
    runs.push(...begun.map(({ id }) => id));
  }
  return runs;
}

async function listWhile(client: TestClient, lister: number, latencies: number[], done: AbortSignal): Promise<void> {
  for (let turn = lister; !done.aborted; turn++) {
    const path = listPaths[turn % listPaths.length] ?? listPaths[0];
    const begun = performance.now();
    await client.request<Page<unknown>>('GET', path);
    latencies.push(performance.now() - begun);
    await delay(betweenListsMs);
  }
}

interface Followed {
  readonly deploymentId: string;
  /** Ids of the events that came, in their order. */
  readonly ids: readonly number[];
  readonly ended: boolean;
}

/** Follows a run from its beginning to its end, as the command line and the page do. */
async function follow(client: TestClient, deploymentId: string): Promise<Followed> {
  const response = await fetch(`${client.url}/api/v1/deployments/${deploymentId}/events?after=0`, {
    headers: { authorization: `Bearer ${client.token}`, accept: 'text/event-stream' },
  });
  if (!response.ok || response.body === null) throw new Error(`a stream was refused: ${response.status}`);
  const ids: number[] = [];
  let ended = false;
  const messages = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  for await (const { id, event } of messages) {
    if (event === 'end') ended = true;
    else if (event !== 'snapshot' && event !== 'progress') ids.push(Number(id));
  }
  return { deploymentId, ids, ended };
}

function lostRun({ id, status, error }: Deployment): string[] {
  return status === 'succeeded' ? [] : [`${id} ended ${status}: ${error?.message ?? 'without a reason'}`];
}

/** Streams that did not bring every event of their run in order, or not the end. */
async function lostStreams(
  client: TestClient,
  runs: readonly string[],
  followed: readonly Followed[],
): Promise<string[]> {
  const recorded = new Map<string, string>();
  for (const id of new Set(runs)) {
    const page = await client.request<Page<{ id: number }>>('GET', `/deployments/${id}/events?limit=1000`, undefined, {
      accept: 'application/json',
    });
    recorded.set(id, page.items.map((event) => event.id).join());
  }
  return followed.flatMap(({ deploymentId, ids, ended }) => {
    if (!ended) return [`a stream of ${deploymentId} without its end, after event ${ids.at(-1) ?? 0}`];
    return recorded.get(deploymentId) === ids.join()
      ? []
      : [`a stream of ${deploymentId}: events ${ids.join()} instead of ${recorded.get(deploymentId)}`];
  });
}

/** The value below which this share of the values lies, in whole milliseconds. */
function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}

function residentMb(pid: number): number {
  const kilobytes = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  return Math.round(kilobytes / 1024);
}

/** User and system time; the kernel counts it in hundredths of a second. */
function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
