import { Counter, Histogram, Registry } from 'prom-client';
import type { DeploymentStatus, DeploymentType, NodeAction, NodeStatus, Stage } from '../model/index.ts';

/** What this process counts, from its start on. Records of all processes are counted at each scrape: `RecordCounts`. */
export const counted = new Registry();
const registers = [counted];

const runSeconds = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 14_400, 86_400];
const nodeSeconds = [0.1, 0.5, 1, 2.5, 5, 15, 30, 60, 300, 900, 3600, 14_400];
const requestSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

const runs = new Counter({
  name: 'windlass_runs_total',
  help: 'Runs that have ended.',
  labelNames: ['type', 'ending'] as const,
  registers,
});
const runDuration = new Histogram({
  name: 'windlass_run_duration_seconds',
  help: 'From the beginning of a run to its end; time in the queue is not counted.',
  labelNames: ['type', 'ending'] as const,
  buckets: runSeconds,
  registers,
});
const nodeDuration = new Histogram({
  name: 'windlass_node_duration_seconds',
  help: 'From the beginning of a node to its end, with its waits.',
  labelNames: ['action', 'ending'] as const,
  buckets: nodeSeconds,
  registers,
});
const stageDuration = new Histogram({
  name: 'windlass_node_stage_duration_seconds',
  help: 'How long a node spent in a stage of its last try, which is the time of the tool in it.',
  labelNames: ['stage'] as const,
  buckets: nodeSeconds,
  registers,
});
const takeovers = new Counter({
  name: 'windlass_node_takeovers_total',
  help: 'Calls that found an earlier one cut off, by what had become of it.',
  labelNames: ['found'] as const,
  registers,
});
const requestDuration = new Histogram({
  name: 'windlass_http_request_duration_seconds',
  help: 'Requests by the pattern of their route. Event streams are left out: they have no end of their own.',
  labelNames: ['method', 'route', 'status'] as const,
  buckets: requestSeconds,
  registers,
});

/** A run has ended. `seconds` is null when it was dropped before it began. */
export function countRun(run: {
  readonly type: DeploymentType;
  readonly ending: DeploymentStatus;
  readonly seconds: number | null;
}): void {
  const labels = { type: run.type, ending: run.ending };
  runs.inc(labels);
  if (run.seconds !== null) runDuration.observe(labels, run.seconds);
}

/** A node has ended by its own record. */
export function countNode(node: {
  readonly action: NodeAction;
  readonly ending: NodeStatus;
  readonly seconds: number;
  readonly stages: Partial<Readonly<Record<Stage, number>>>;
}): void {
  nodeDuration.observe({ action: node.action, ending: node.ending }, node.seconds);
  for (const [stage, seconds] of Object.entries(node.stages)) stageDuration.observe({ stage }, seconds);
}

/** What a takeover has found of the call before. */
export function countTakeover(found: 'clean' | 'finished' | 'interrupted' | 'unknown'): void {
  takeovers.inc({ found });
}

/** An HTTP request is over. */
export function countRequest(request: {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}): void {
  const { method, route, status, seconds } = request;
  requestDuration.observe({ method, route, status: String(status) }, seconds);
}
