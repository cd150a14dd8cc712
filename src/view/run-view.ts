import { isPassed, isTerminalDeployment, isTerminalNode, knownEventSchema } from '../model/index.ts';
import type {
  Approval,
  Deployment,
  EnvironmentStatus,
  Event,
  EventData,
  KnownEvent,
  NodeRun,
  ResourceChange,
} from '../model/index.ts';

/** A run and its nodes as they are on record: the first message of a run's stream. */
export interface Snapshot {
  readonly deployment: Deployment;
  readonly nodes: readonly NodeRun[];
}

/** How far a tool is; sent while it runs and kept nowhere. */
export interface Progress {
  readonly alias: string;
  readonly index?: number | undefined;
  readonly compensation?: boolean | undefined;
  readonly progress: string;
}

/** A node that is not as it was deployed. */
export interface DriftFound {
  readonly alias: string | null;
  readonly resources: readonly Pick<ResourceChange, 'address' | 'action'>[];
}

/** What a person sees of a run. */
export interface RunView {
  readonly deployment: Deployment;
  /** In the order of the run; nodes of a compensation after the others. */
  readonly nodes: readonly NodeRun[];
  /** Details of the decisions that nodes wait for, by approval id. */
  readonly approvals: ReadonlyMap<string, Approval>;
  /** What the environment has become; null until it was asked for after the end. */
  readonly environmentStatus: EnvironmentStatus | null;
  /** Number of the last deployment that a rollback would go back to; null when there is none, or it is not known. */
  readonly lastGood: number | null;
  /** What a check for drift has found, once it was asked for after the end. */
  readonly drift: readonly DriftFound[];
  readonly connection: 'connected' | 'reconnecting';
  /** An event told of a node that no snapshot had: its name and its needs are to be asked for. */
  readonly incomplete: boolean;
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

/** What one hears of a run. `at` is when it was heard, where the message itself does not say. */
export type RunMessage =
  /** One that comes later, after a reconnect, tells what had changed meanwhile. */
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot; readonly at: string }
  | { readonly kind: 'event'; readonly event: Event }
  | { readonly kind: 'progress'; readonly progress: Progress; readonly at: string }
  /** Decisions that are waited for, with what they are about. */
  | { readonly kind: 'approvals'; readonly approvals: readonly Approval[] };

/** A view after a message, and what has changed. */
export interface Step {
  readonly view: RunView;
  readonly changes: readonly Change[];
}

/** The view that begins with a snapshot. */
export function createView({ deployment, nodes }: Snapshot): RunView {
  return {
    deployment,
    nodes: sortNodes(nodes),
    approvals: new Map(),
    environmentStatus: null,
    lastGood: null,
    drift: [],
    connection: 'connected',
    incomplete: false,
  };
}

/** Brings a view up to date with one message. Pure. Events of a shape that this version does not know change nothing. */
export function reduceRun(view: RunView, message: RunMessage): Step {
  switch (message.kind) {
    case 'snapshot':
      return takeSnapshot(view, message.snapshot, message.at);
    case 'event': {
      const known = knownEventSchema.safeParse(message.event);
      return known.success ? takeEvent(view, known.data) : { view, changes: [] };
    }
    case 'progress':
      return takeProgress(view, message.progress, message.at);
    case 'approvals':
      return { view: message.approvals.reduce(withApproval, view), changes: [] };
  }
}

function sortNodes(nodes: readonly NodeRun[]): NodeRun[] {
  return [...nodes].sort((a, b) => Number(a.compensation) - Number(b.compensation) || a.index - b.index);
}

function takeSnapshot(before: RunView, { deployment, nodes }: Snapshot, at: string): Step {
  const known = new Map(before.nodes.map((node) => [keyOf(node), node]));
  const view = { ...before, deployment, nodes: sortNodes(nodes), incomplete: false };
  const moved = before.deployment.status !== deployment.status || before.deployment.paused !== deployment.paused;
  const changes = view.nodes.flatMap((node): Change[] => {
    const was = known.get(keyOf(node));
    if (was?.status !== node.status) return [{ kind: 'node', node, at, what: 'status' }];
    return was.stage === node.stage ? [] : [{ kind: 'node', node, at, what: 'stage' }];
  });
  return { view, changes: moved ? [{ kind: 'deployment', at }, ...changes] : changes };
}

function keyOf(node: Pick<NodeRun, 'index' | 'compensation'>): string {
  return `${node.compensation ? 'c' : ''}${node.index}`;
}

function takeEvent(view: RunView, event: KnownEvent): Step {
  switch (event.type) {
    case 'deployment.status':
      return takeDeploymentStatus(view, event.data, event.at);
    case 'node.status':
      return takeNodeStatus(view, event, event.data);
    case 'node.stage':
      return takeNodeStage(view, event, event.data);
    case 'approval.requested':
    case 'approval.decided':
      return takeApproval(view, event);
    case 'environment.status': {
      const own = event.environmentId === view.deployment.environmentId;
      return { view: own ? { ...view, environmentStatus: event.data.status } : view, changes: [] };
    }
    case 'environment.warning':
      return { view, changes: [{ kind: 'warning', message: event.data.message, at: event.at }] };
    case 'node.log':
    case 'ttl.changed':
    case 'ttl.warning':
    case 'schedule.skipped':
    case 'drift.result':
      return { view, changes: [] };
  }
}

function takeDeploymentStatus(view: RunView, data: EventData<'deployment.status'>, at: string): Step {
  const { deployment } = view;
  const { status, paused = deployment.paused, progress, error } = data;
  if (status === deployment.status && paused === deployment.paused) {
    if (progress === undefined || progress === deployment.progress) return { view, changes: [] };
    return {
      view: { ...view, deployment: { ...deployment, progress } },
      changes: [{ kind: 'runProgress', text: progress, at }],
    };
  }
  const moved: Deployment = {
    ...deployment,
    status,
    paused,
    progress: progress ?? null,
    error: error ?? deployment.error,
    startedAt: deployment.startedAt ?? (status === 'queued' ? null : at),
    finishedAt: isTerminalDeployment(status) ? (deployment.finishedAt ?? at) : null,
    queuePosition: status === 'queued' ? deployment.queuePosition : null,
  };
  return { view: { ...view, deployment: moved }, changes: [{ kind: 'deployment', at }] };
}

function findNode({ nodes }: RunView, index: number, compensation: boolean): number {
  const guess = compensation ? -1 : index;
  const near = nodes[guess];
  if (near && near.index === index && near.compensation === compensation) return guess;
  return nodes.findIndex((node) => node.index === index && node.compensation === compensation);
}

type AboutNode = Pick<KnownEvent, 'alias' | 'environmentId' | 'at'>;

/** The view with the node that an event tells of, also when no snapshot had it, and the node. */
function withNodeOf(view: RunView, event: AboutNode, index: number, compensation: boolean): [RunView, NodeRun] {
  const found = view.nodes[findNode(view, index, compensation)];
  if (found !== undefined) return [view, found];
  const origin = view.nodes[findNode(view, index, false)];
  const node: NodeRun = {
    index,
    compensation,
    alias: event.alias ?? origin?.alias ?? String(index),
    within: origin?.within ?? [],
    name: origin?.name ?? event.alias ?? String(index),
    environmentId: event.environmentId ?? origin?.environmentId ?? '',
    needs: [],
    action: origin?.action === 'deploy' && compensation ? 'destroy' : (origin?.action ?? 'deploy'),
    removal: compensation ? null : (origin?.removal ?? null),
    status: 'pending',
    stage: null,
    progress: null,
    waitsFor: null,
    try: 1,
    reason: null,
    wait: null,
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
  };
  return [{ ...view, incomplete: true, nodes: sortNodes([...view.nodes, node]) }, node];
}

/** The view with another version of a node. */
function withNode(view: RunView, node: NodeRun): RunView {
  return { ...view, nodes: view.nodes.with(findNode(view, node.index, node.compensation), node) };
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
function isStale(node: NodeRun, event: AboutNode): boolean {
  return Date.parse(event.at) <= lastMoment(node);
}

function iso(text: string | undefined): string | undefined {
  return text === undefined ? undefined : isoTime(text);
}

function isoTime(text: string): string {
  return new Date(text).toISOString();
}

/** Events carry no nulls, and PostgreSQL's own times. */
function waitOf({ until, account, lock }: NonNullable<EventData<'node.status'>['wait']>): NodeRun['wait'] {
  return {
    until: isoTime(until),
    account: account ?? null,
    lock: lock === undefined ? null : { ...lock, since: isoTime(lock.since) },
  };
}

function takeNodeStatus(before: RunView, event: AboutNode, data: EventData<'node.status'>): Step {
  const [view, known] = withNodeOf(before, event, data.index, data.compensation ?? false);
  if (known.status !== data.status && isStale(known, event)) return { view, changes: [] };
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
    wait: data.wait === undefined ? null : waitOf(data.wait),
    counts: data.counts ?? known.counts,
    approvalId: waits ? (data.approvalId ?? known.approvalId) : null,
    stage: waits ? 'approval' : data.status === 'pending' ? null : known.stage,
    progress: null,
    startedAt: iso(data.startedAt) ?? (data.status === 'running' ? (known.startedAt ?? event.at) : known.startedAt),
    finishedAt: over ? (iso(data.finishedAt) ?? event.at) : null,
  };
  const told = known.status !== node.status || known.try !== node.try;
  return { view: withNode(view, node), changes: told ? [{ kind: 'node', node, at: event.at, what: 'status' }] : [] };
}

function takeNodeStage(before: RunView, event: AboutNode, data: EventData<'node.stage'>): Step {
  const [view, known] = withNodeOf(before, event, data.index, data.compensation ?? false);
  const { stage } = data;
  if (known.stage === stage || isStale(known, event)) return { view, changes: [] };
  const stageTimes = { ...known.stageTimes, [stage]: { startedAt: event.at, finishedAt: null } };
  const node: NodeRun = { ...known, stage, progress: null, stageTimes };
  return { view: withNode(view, node), changes: [{ kind: 'node', node, at: event.at, what: 'stage' }] };
}

function takeProgress(view: RunView, { alias, index, compensation, progress }: Progress, at: string): Step {
  const known = view.nodes.find(
    (node) =>
      node.alias === alias &&
      (index === undefined || node.index === index) &&
      (compensation === undefined ? node.status === 'running' : node.compensation === compensation),
  );
  if (!known || known.progress === progress) return { view, changes: [] };
  const node: NodeRun = { ...known, progress };
  return { view: withNode(view, node), changes: [{ kind: 'node', node, at, what: 'progress' }] };
}

function takeApproval(
  before: RunView,
  event: Extract<KnownEvent, { type: 'approval.requested' | 'approval.decided' }>,
): Step {
  const { approvalId, compensation } = event.data;
  const known = before.nodes.find(
    (node) => node.alias === event.alias && (compensation === undefined || node.compensation === compensation),
  );
  if (event.type === 'approval.requested') {
    const node = known === undefined ? null : { ...known, approvalId };
    return {
      view: node === null ? before : withNode(before, node),
      changes: [{ kind: 'approval', node, at: event.at }],
    };
  }
  const approvals = new Map([...before.approvals].filter(([id]) => id !== approvalId));
  return { view: { ...before, approvals }, changes: [{ kind: 'approval', node: known ?? null, at: event.at }] };
}

function withApproval(view: RunView, approval: Approval): RunView {
  const known = { ...view, approvals: new Map([...view.approvals, [approval.id, approval]]) };
  const node = view.nodes.find(({ alias, status }) => alias === approval.alias && status === 'waitingForApproval');
  return node === undefined ? known : withNode(known, { ...node, approvalId: approval.id });
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
