import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { counted } from './instruments.ts';

/** The media type of the text that Prometheus reads. */
export const expositionType = Registry.PROMETHEUS_CONTENT_TYPE;

/** Numbers of records, over all processes. Each line of a list is one set of labels. */
export interface RecordCounts {
  readonly openRuns: readonly { readonly type: string; readonly status: string; readonly count: number }[];
  readonly openNodes: readonly { readonly waitsFor: string; readonly count: number }[];
  readonly driftStatuses: readonly { readonly status: string; readonly count: number }[];
  readonly environmentLocks: number;
  readonly stateLocks: number;
}

/** Connections to the database: all, those nobody uses, and callers in the line for one. */
export interface PoolState {
  readonly total: number;
  readonly idle: number;
  readonly waiting: number;
}

/** What is looked up at each scrape; what a process does not have is left out. */
export interface MetricSources {
  readonly records?: (() => Promise<RecordCounts>) | undefined;
  readonly pool?: (() => PoolState) | undefined;
  /** The text of another exporter, such as that of Temporal's SDK. */
  readonly others?: (() => Promise<string>) | undefined;
}

let processIsWatched = false;

/** CPU, memory, event loop lag and garbage collection; from the first scrape on, since watching the loop is not free. */
function watchProcess(): void {
  if (processIsWatched) return;
  processIsWatched = true;
  collectDefaultMetrics({ register: counted });
}

const gauges = {
  windlass_runs_queued: 'Runs that wait for their turn.',
  windlass_runs_open: 'Runs that are not over.',
  windlass_nodes_open: 'Nodes of begun runs that are not over, by what they wait for.',
  windlass_environments_drift: 'Deployed environments and nodes by the result of their last drift check.',
  windlass_environment_locks: 'Environments that somebody has locked.',
  windlass_state_locks: 'States that a tool has locked.',
} as const;

function recordGauges(register: Registry, counts: RecordCounts): void {
  const gauge = <L extends string>(name: keyof typeof gauges, ...labelNames: L[]): Gauge<L> =>
    new Gauge({ name, help: gauges[name], labelNames, registers: [register] });
  const queued = gauge('windlass_runs_queued', 'type');
  const open = gauge('windlass_runs_open', 'type', 'status');
  for (const { type, status, count } of counts.openRuns) {
    if (status === 'queued') queued.set({ type }, count);
    open.set({ type, status }, count);
  }
  const nodes = gauge('windlass_nodes_open', 'waits_for');
  for (const { waitsFor, count } of counts.openNodes) nodes.set({ waits_for: waitsFor }, count);
  const drift = gauge('windlass_environments_drift', 'status');
  for (const { status, count } of counts.driftStatuses) drift.set({ status }, count);
  gauge('windlass_environment_locks').set(counts.environmentLocks);
  gauge('windlass_state_locks').set(counts.stateLocks);
}

function poolGauge(register: Registry, pool: PoolState): void {
  const gauge = new Gauge({
    name: 'windlass_database_connections',
    help: 'Connections of this process to the database, and callers that wait for one.',
    labelNames: ['state'] as const,
    registers: [register],
  });
  gauge.set({ state: 'total' }, pool.total);
  gauge.set({ state: 'idle' }, pool.idle);
  gauge.set({ state: 'waiting' }, pool.waiting);
}

/**
 * All metrics as Prometheus reads them. A look that fails leaves its own out and sets `windlass_scrape_failures`, so that
 * an outage of the database does not hide the process.
 */
export async function exposition(sources: MetricSources): Promise<string> {
  watchProcess();
  const scraped = new Registry();
  const failures = new Gauge({
    name: 'windlass_scrape_failures',
    help: 'Looks that failed in this scrape.',
    labelNames: ['look'] as const,
    registers: [scraped],
  });
  const tried = async <T>(look: string, work: (() => Promise<T>) | undefined): Promise<T | null> => {
    if (work === undefined) return null;
    failures.set({ look }, 0);
    return work().catch(() => {
      failures.set({ look }, 1);
      return null;
    });
  };
  const [records, others] = await Promise.all([tried('records', sources.records), tried('others', sources.others)]);
  if (records !== null) recordGauges(scraped, records);
  if (sources.pool !== undefined) poolGauge(scraped, sources.pool());
  const texts = [await counted.metrics(), await scraped.metrics(), others ?? ''];
  return texts.filter(Boolean).join('\n');
}
