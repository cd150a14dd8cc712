import { z } from 'zod';
import type { Client, EventOf } from '../../client/index.ts';
import {
  approvalSchema,
  changeCountsSchema,
  deploymentStatuses,
  environmentStatuses,
  isPassed,
  isTerminalDeployment,
  isTerminalNode,
  nodeActions,
  nodeRunSchema,
  nodeStatuses,
  runErrorSchema,
  stages,
} from '../../model/index.ts';
import type { Approval, Deployment, EnvironmentStatus, Event, NodeRun, ResourceChange } from '../../model/index.ts';

export type RunEvent = EventOf<Client['deployments']['events']>;
/** First message of a deployment's stream. */
export type Snapshot = Extract<RunEvent, { event: 'snapshot' }>['data'];
/** How far a tool is; sent while it runs and kept nowhere. */
export type Progress = Extract<RunEvent, { event: 'progress' }>['data'];

/** A node that is not as it was deployed. */
export interface DriftFound {
  readonly alias: string | null;
  readonly resources: readonly Pick<ResourceChange, 'address' | 'action'>[];
}

/** What a terminal knows about a run that it follows. */
export interface RunView {
  deployment: Deployment;
  /** In the order of the run; nodes of a compensation after the others. */
  nodes: NodeRun[];
  /** Details of the decisions that nodes wait for, by approval id. */
  approvals: Map<string, Approval>;
  /** What the environment has become; null until it was asked for after the end. */
  environmentStatus: EnvironmentStatus | null;
  /** Number of the last deployment that a rollback would go back to; null when there is none, or it is not known. */
  lastGood: number | null;
  /** What a check for drift has found, once it was asked for after the end. */
  drift: readonly DriftFound[];
  connection: 'connected' | 'reconnecting';
  /** An event told of a node that no snapshot had: its name and its needs are to be asked for. */
  incomplete: boolean;
}

export function createView(snapshot: Snapshot): RunView {
  return {
    deployment: snapshot.deployment,
    nodes: sortNodes(snapshot.nodes),
    approvals: new Map(),
    environmentStatus: null,
    lastGood: null,
    drift: [],
    connection: 'connected',
    incomplete: false,
  };
}

function sortNodes(nodes: readonly NodeRun[]): NodeRun[] {
  return [...nodes].sort((a, b) => Number(a.compensation) - Number(b.compensation) || a.index - b.index);
}

/** One thing that happened to a run, for those who print line by line. */
export type Change =
  | { readonly kind: 'deployment'; readonly at: string }
  | {
      readonly kind: 'node';
      readonly node: NodeRun;
      readonly at: string;
      readonly what: 'status' | 'stage' | 'progress';
    }
  | { readonly kind: 'approval'; readonly node: NodeRun | null; readonly at: string }
  /** What a run does before it has nodes. */
  | { readonly kind: 'runProgress'; readonly text: string; readonly at: string }
  | { readonly kind: 'warning'; readonly message: string; readonly at: string };

/** Takes a snapshot that came later, after a reconnect, and tells what had changed meanwhile. */
export function applySnapshot(view: RunView, snapshot: Snapshot, at: string): Change[] {
  const before = new Map(view.nodes.map((node) => [keyOf(node), node]));
  const changes: Change[] = [];
  if (view.deployment.status !== snapshot.deployment.status || view.deployment.paused !== snapshot.deployment.paused) {
    changes.push({ kind: 'deployment', at });
  }
  view.deployment = snapshot.deployment;
  view.nodes = sortNodes(snapshot.nodes);
  view.incomplete = false;
  for (const node of view.nodes) {
    const known = before.get(keyOf(node));
    if (known?.status !== node.status) changes.push({ kind: 'node', node, at, what: 'status' });
    else if (known.stage !== node.stage) changes.push({ kind: 'node', node, at, what: 'stage' });
  }
  return changes;
}

function keyOf(node: Pick<NodeRun, 'index' | 'compensation'>): string {
  return `${node.compensation ? 'c' : ''}${node.index}`;
}

/** Events carry no nulls, and PostgreSQL's own times. */
const eventWaitSchema = z
  .object({
    until: z.string(),
    account: z.string().default(''),
    lock: z.object({ by: z.string(), since: z.string() }).optional(),
  })
  .transform(({ until, account, lock }) => ({
    until: isoTime(until),
    account: account === '' ? null : account,
    lock: lock === undefined ? null : { ...lock, since: isoTime(lock.since) },
  }));

const nodeStatusSchema = z.object({
  index: z.number().int(),
  compensation: z.boolean().optional(),
  status: z.enum(nodeStatuses),
  action: z.enum(nodeActions).optional(),
  try: z.number().int().optional(),
  ran: z.boolean().optional(),
  error: runErrorSchema.optional(),
  reason: nodeRunSchema.shape.reason.unwrap().optional(),
  wait: eventWaitSchema.optional().catch(undefined),
  counts: changeCountsSchema.optional(),
  approvalId: z.string().optional(),
  startedAt: z.string().optional(),
  finishedAt: z.string().optional(),
});

const nodeStageSchema = z.object({
  index: z.number().int(),
  compensation: z.boolean().optional(),
  stage: z.enum(stages),
});

const deploymentStatusSchema = z.object({
  status: z.enum(deploymentStatuses).optional(),
  paused: z.boolean().optional(),
  progress: z.string().optional(),
  error: runErrorSchema.nullish(),
});

const environmentStatusSchema = z.object({ status: z.enum(environmentStatuses) });

const approvalEventSchema = z.object({
  approvalId: z.string().optional(),
  id: z.string().optional(),
  index: z.number().int().optional(),
  compensation: z.boolean().optional(),
});

const warningSchema = z.object({ message: z.string() });

/**
 * Brings a view up to date with one event and tells what changed. The view is changed in place: a run may have
 * thousands of nodes with several events each. Events of a shape that this version does not know change nothing.
 */
export function applyEvent(view: RunView, event: Event): Change[] {
  switch (event.type) {
    case 'deployment.status':
      return applyDeploymentStatus(view, event);
    case 'node.status':
      return applyNodeStatus(view, event);
    case 'node.stage':
      return applyNodeStage(view, event);
    case 'approval.requested':
    case 'approval.decided':
      return applyApproval(view, event);
    case 'environment.status': {
      const parsed = environmentStatusSchema.safeParse(event.data);
      if (parsed.success && event.environmentId === view.deployment.environmentId)
        view.environmentStatus = parsed.data.status;
      return [];
    }
    case 'environment.warning': {
      const parsed = warningSchema.safeParse(event.data);
      return parsed.success ? [{ kind: 'warning', message: parsed.data.message, at: event.at }] : [];
    }
    default:
      return [];
  }
}

function applyDeploymentStatus(view: RunView, event: Event): Change[] {
  const parsed = deploymentStatusSchema.safeParse(event.data);
  if (!parsed.success) return [];
  const { deployment } = view;
  const { status = deployment.status, paused = deployment.paused, progress, error } = parsed.data;
  if (status === deployment.status && paused === deployment.paused) {
    if (progress === undefined || progress === deployment.progress) return [];
    view.deployment = { ...deployment, progress };
    return [{ kind: 'runProgress', text: progress, at: event.at }];
  }
  view.deployment = {
    ...deployment,
    status,
    paused,
    progress: progress ?? null,
    error: error ?? deployment.error,
    startedAt: deployment.startedAt ?? (status === 'queued' ? null : event.at),
    finishedAt: isTerminalDeployment(status) ? (deployment.finishedAt ?? event.at) : null,
    queuePosition: status === 'queued' ? deployment.queuePosition : null,
  };
  return [{ kind: 'deployment', at: event.at }];
}

function findNode(view: RunView, index: number, compensation: boolean): number {
  const guess = compensation ? -1 : index;
  const near = view.nodes[guess];
  if (near && near.index === index && near.compensation === compensation) return guess;
  return view.nodes.findIndex((node) => node.index === index && node.compensation === compensation);
}

function nodeFor(view: RunView, event: Event, index: number, compensation: boolean): number {
  const found = findNode(view, index, compensation);
  if (found >= 0) return found;
  view.incomplete = true;
  const origin = view.nodes[findNode(view, index, false)];
  view.nodes.push({
    index,
    compensation,
    alias: event.alias ?? origin?.alias ?? String(index),
    name: origin?.name ?? event.alias ?? String(index),
    environmentId: event.environmentId ?? origin?.environmentId ?? '',
    needs: [],
    action: origin?.action === 'deploy' && compensation ? 'destroy' : (origin?.action ?? 'deploy'),
    removal: compensation ? null : (origin?.removal ?? null),
    status: 'pending',
    stage: null,
    progress: null,
    waitsFor: null,
    wait: null,
    try: 1,
    reason: null,
    error: null,
    counts: null,
    ran: true,
    approvalId: null,
    templateName: origin?.templateName ?? null,
    type: origin?.type ?? null,
    commit: null,
    startedAt: null,
    finishedAt: null,
    stageTimes: {},
  });
  view.nodes = sortNodes(view.nodes);
  return findNode(view, index, compensation);
}

/** The latest moment that a node's record tells of. */
function lastMoment(node: NodeRun): number {
  const stageMoments = Object.values(node.stageTimes).flatMap(({ startedAt, finishedAt }) => [startedAt, finishedAt]);
  const moments = [node.startedAt, node.finishedAt, ...stageMoments].map((text) => (text ? Date.parse(text) : 0));
  return Math.max(0, ...moments);
}

/**
 * A snapshot may be newer than the events that come after it; those must not turn a node back, or a finished node would
 * start a second time on the screen.
 */
function isStale(node: NodeRun, event: Event): boolean {
  return Date.parse(event.at) <= lastMoment(node);
}

function iso(text: string | undefined): string | undefined {
  return text === undefined ? undefined : isoTime(text);
}

function isoTime(text: string): string {
  return new Date(text).toISOString();
}

function applyNodeStatus(view: RunView, event: Event): Change[] {
  const parsed = nodeStatusSchema.safeParse(event.data);
  if (!parsed.success) return [];
  const { data } = parsed;
  const at = nodeFor(view, event, data.index, data.compensation ?? false);
  const known = view.nodes[at];
  if (!known || (known.status !== data.status && isStale(known, event))) return [];
  const over = isTerminalNode(data.status);
  const waits = data.status === 'waitingForApproval';
  const node: NodeRun = {
    ...known,
    status: data.status,
    action: data.action ?? known.action,
    try: data.try ?? known.try,
    ran: data.ran ?? known.ran,
    error: data.error ?? (over || data.status === 'retrying' ? known.error : null),
    reason: data.reason ?? null,
    counts: data.counts ?? known.counts,
    approvalId: waits ? (data.approvalId ?? known.approvalId) : null,
    stage: waits ? 'approval' : data.status === 'pending' ? null : known.stage,
    progress: null,
    wait: data.wait ?? null,
    startedAt: iso(data.startedAt) ?? (data.status === 'running' ? (known.startedAt ?? event.at) : known.startedAt),
    finishedAt: over ? (iso(data.finishedAt) ?? event.at) : null,
  };
  view.nodes[at] = node;
  if (known.status === node.status && known.try === node.try) return [];
  return [{ kind: 'node', node, at: event.at, what: 'status' }];
}

function applyNodeStage(view: RunView, event: Event): Change[] {
  const parsed = nodeStageSchema.safeParse(event.data);
  if (!parsed.success) return [];
  const at = nodeFor(view, event, parsed.data.index, parsed.data.compensation ?? false);
  const known = view.nodes[at];
  const { stage } = parsed.data;
  if (!known || known.stage === stage || isStale(known, event)) return [];
  const stageTimes = { ...known.stageTimes, [stage]: { startedAt: event.at, finishedAt: null } };
  const node: NodeRun = { ...known, stage, progress: null, stageTimes };
  view.nodes[at] = node;
  return [{ kind: 'node', node, at: event.at, what: 'stage' }];
}

export function applyProgress(view: RunView, progress: Progress, at: string): Change[] {
  const index = view.nodes.findIndex(
    (node) => node.alias === progress.alias && node.index === progress.index && node.status === 'running',
  );
  const known = view.nodes[index];
  if (!known || known.progress === progress.progress) return [];
  const node: NodeRun = { ...known, progress: progress.progress };
  view.nodes[index] = node;
  return [{ kind: 'node', node, at, what: 'progress' }];
}

function applyApproval(view: RunView, event: Event): Change[] {
  const parsed = approvalEventSchema.safeParse(event.data);
  const approvalId = parsed.data?.approvalId ?? parsed.data?.id;
  const at = view.nodes.findIndex(
    (node) =>
      node.alias === event.alias &&
      (parsed.data?.compensation === undefined || node.compensation === parsed.data.compensation),
  );
  const known = view.nodes[at];
  if (known && event.type === 'approval.requested' && approvalId) {
    view.nodes[at] = { ...known, approvalId };
  }
  if (approvalId && event.type === 'approval.decided') view.approvals.delete(approvalId);
  return [{ kind: 'approval', node: view.nodes[at] ?? null, at: event.at }];
}

export function addApproval(view: RunView, approval: Approval): void {
  view.approvals.set(approval.id, approvalSchema.parse(approval));
}

/** Whether nothing can go on before a person has decided. */
export function isBlockedByApproval(view: RunView): boolean {
  if (view.deployment.status !== 'running' || view.deployment.paused) return false;
  if (!view.nodes.some((node) => node.status === 'waitingForApproval')) return false;
  if (view.nodes.some((node) => node.status === 'running' || node.status === 'retrying')) return false;
  return view.nodes.every((node) => node.status !== 'pending' || waitsFor(view, node).length > 0);
}

/** Names of what a pending node still waits for, in the order of the file. */
export function waitsFor(view: RunView, node: NodeRun, byAlias = indexByAlias(view, node.compensation)): string[] {
  // What is no longer wanted goes only after every deploy.
  const first =
    node.removal === 'destroy' && node.action === 'destroy'
      ? view.nodes.filter(({ removal, compensation, status }) => removal === null && !compensation && !isPassed(status))
      : [];
  const names = first.map(({ name }) => name);
  return names.concat(
    node.needs.flatMap((alias) => {
      const need = byAlias.get(alias);
      return need && !isPassed(need.status) ? [need.name] : [];
    }),
  );
}

export function indexByAlias(view: RunView, compensation: boolean): Map<string, NodeRun> {
  return new Map(view.nodes.filter((node) => node.compensation === compensation).map((node) => [node.alias, node]));
}
