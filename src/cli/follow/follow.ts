import { ApiError, collect } from '../../client/index.ts';
import type { Client, EventOf } from '../../client/index.ts';
import { isTerminalDeployment } from '../../model/index.ts';
import type { Deployment } from '../../model/index.ts';
import { createView, isBlockedByApproval, reduceRun } from '../../view/index.ts';
import type { Change, DriftFound, RunView, Step } from '../../view/index.ts';
import { exitCodeOfRun, exitCodes } from '../exit.ts';
import type { Io, Printer } from '../io.ts';
import { lineOf, openingLines } from './lines.ts';
import { refOf, renderApprovals, renderFinal, renderLive } from './render.ts';
import { createScreen } from './screen.ts';
import { renderSummary } from './summary.ts';

export interface FollowRunOptions {
  readonly io: Io;
  readonly client: Client;
  readonly printer: Printer;
  readonly deploymentId: string;
  /** Leave with code 4 when nothing goes on without a person, also on a terminal. */
  readonly detachOnApproval?: boolean;
  /** Never leave because of a decision: the run is being stopped. */
  readonly stayOnApproval?: boolean;
  /** This process runs the server too: it stops with the command. */
  readonly embedded: boolean;
}

export interface FollowedRun {
  readonly exitCode: number;
  /** null when the stream never began. */
  readonly view: RunView | null;
}

type RunEvent = EventOf<Client['deployments']['events']>;

const frameMs = 100;

/** Shows a run until it ends, waits for a person, or Ctrl-C. Answers the exit code that belongs to it. */
export async function followRun(options: FollowRunOptions): Promise<FollowedRun> {
  const { io, client, printer } = options;
  const machine = printer.format !== 'table';
  const presenter = machine ? jsonPresenter(io) : io.stdout.isTTY ? livePresenter(options) : linePresenter(options);
  const abort = new AbortController();
  let interrupted = false;
  const stopListening = io.onInterrupt(() => {
    interrupted = true;
    abort.abort();
  });
  const leaveOnApproval = !options.stayOnApproval && (options.detachOnApproval === true || !io.stdout.isTTY || machine);
  let view: RunView | null = null;
  let blocked = false;

  /** Takes a message in; answers whether nothing goes on without a person. */
  async function take(message: RunEvent): Promise<boolean> {
    const at = new Date(io.now()).toISOString();
    if (view === null) {
      if (message.event !== 'snapshot') return false;
      view = await withApprovals(client, createView(message.data));
      presenter.begin(view, at);
    } else {
      const step = await stepOf(client, view, message, at);
      view = step.view;
      const { event, data } = message;
      presenter.changed(view, step.changes, event === 'snapshot' ? { type: 'snapshot', ...data } : data);
    }
    return leaveOnApproval && isBlockedByApproval(view);
  }

  try {
    const events = client.deployments.events.stream(
      { params: { ref: options.deploymentId } },
      {
        signal: abort.signal,
        onConnection: (state) => {
          if (view) view = { ...view, connection: state === 'lost' ? 'reconnecting' : 'connected' };
          presenter.connection(state, view);
        },
      },
    );
    for await (const event of events) {
      blocked = event.event !== 'end' && (await take(event));
      if (blocked) break;
    }
    if (interrupted) {
      presenter.close(null);
      for (const line of detachLines(view, options)) printer.remark(line);
      return { exitCode: exitCodes.detached, view };
    }
    const last = await readEnd(client, options.deploymentId, view);
    presenter.close(last);
    if (blocked && !isTerminalDeployment(last.deployment.status)) {
      for (const line of approvalLines(last, options)) printer.remark(line);
      return { exitCode: exitCodes.waitingForApproval, view: last };
    }
    return { exitCode: exitCodeOfRun(last.deployment.status), view: last };
  } catch (error) {
    presenter.close(null);
    throw error;
  } finally {
    stopListening();
  }
}

/** What a message makes of a view, with what has to be asked for besides. */
async function stepOf(client: Client, before: RunView, message: RunEvent, at: string): Promise<Step> {
  switch (message.event) {
    case 'end':
      return { view: before, changes: [] };
    case 'progress':
      return reduceRun(before, { kind: 'progress', progress: message.data, at });
    case 'snapshot': {
      const { view, changes } = reduceRun(before, { kind: 'snapshot', snapshot: message.data, at });
      return { view: await withApprovals(client, view), changes };
    }
    default: {
      let { view, changes } = reduceRun(before, { kind: 'event', event: message.data });
      if (view.incomplete) {
        const loaded = await loadNodes(client, view, at);
        view = loaded.view;
        changes = [...changes, ...loaded.changes].map(withName(view));
      }
      return { view: changes.some(asksForDetails) ? await withApprovals(client, view) : view, changes };
    }
  }
}

function asksForDetails(change: Change): boolean {
  return change.kind === 'approval' || (change.kind === 'node' && change.node.status === 'waitingForApproval');
}

/** The view with the decisions that are waited for, and what they are about. Without them it is poorer but still right. */
async function withApprovals(client: Client, view: RunView): Promise<RunView> {
  const missing = view.nodes.some(
    (node) =>
      node.status === 'waitingForApproval' && (node.approvalId === null || !view.approvals.has(node.approvalId)),
  );
  if (!missing) return view;
  try {
    const { items } = await collect(
      client.approvals.list,
      { query: { deployment: view.deployment.id, status: 'pending' } },
      { limit: 200 },
    );
    return reduceRun(view, { kind: 'approvals', approvals: items }).view;
  } catch (error) {
    if (error instanceof ApiError) return view;
    throw error;
  }
}

/** The records as they are at the end: they know more than the events told. */
async function readEnd(client: Client, deploymentId: string, view: RunView | null): Promise<RunView> {
  const deployment = await client.deployments.get({ params: { ref: deploymentId } });
  const { items: nodes } = await collect(
    client.deployments.nodes,
    { params: { ref: deploymentId } },
    { pageSize: 1000 },
  );
  const environment = await client.environments.get({ params: { ref: deployment.environmentId } }).catch(() => null);
  return {
    ...createView({ deployment, nodes }),
    approvals: view?.approvals ?? new Map(),
    environmentStatus: environment?.status ?? null,
    lastGood: deployment.status === 'succeeded' ? null : await findLastGood(client, deployment),
    drift: deployment.type === 'drift' ? await findDrift(client, deployment) : [],
  };
}

/** What this check has found. Without it the summary is poorer but still right. */
async function findDrift(client: Client, { id, environmentId }: Deployment): Promise<DriftFound[]> {
  try {
    const { results } = await client.drift.get({ params: { ref: environmentId }, query: { limit: 200 } });
    return results.filter(({ deploymentId, status }) => deploymentId === id && status === 'drifted');
  } catch (error) {
    if (error instanceof ApiError) return [];
    throw error;
  }
}

/** What a rollback would go back to. Only for a hint: without it the hint is left out. */
async function findLastGood(client: Client, { environmentId, number }: Deployment): Promise<number | null> {
  try {
    const query = { environment: environmentId, status: 'succeeded' };
    const { items } = await collect(client.deployments.list, { query }, { limit: 50 });
    const good = items.find((item) => item.number < number && (item.type === 'deploy' || item.type === 'rollback'));
    return good?.number ?? null;
  } catch (error) {
    if (error instanceof ApiError) return null;
    throw error;
  }
}

/** Nodes are made after a run has begun, and those that take something back later still. */
async function loadNodes(client: Client, view: RunView, at: string): Promise<Step> {
  try {
    const params = { ref: view.deployment.id };
    const { items: nodes } = await collect(client.deployments.nodes, { params }, { pageSize: 1000 });
    // How many run at once is known since the nodes are; the rest of it is told by events.
    const { maxParallel } = await client.deployments.get({ params: { ref: view.deployment.id } });
    const snapshot = { deployment: { ...view.deployment, maxParallel }, nodes };
    return reduceRun(view, { kind: 'snapshot', snapshot, at });
  } catch (error) {
    // The next event asks again.
    if (error instanceof ApiError) return { view, changes: [] };
    throw error;
  }
}

/** Changes of nodes whose name was not known yet, told under their name. */
function withName(view: RunView): (change: Change) => Change {
  return (change) => {
    if (change.kind !== 'node') return change;
    const { alias, compensation } = change.node;
    const known = view.nodes.find((node) => node.alias === alias && node.compensation === compensation);
    return known ? { ...change, node: { ...change.node, name: known.name } } : change;
  };
}

interface Presenter {
  begin(view: RunView, at: string): void;
  changed(view: RunView, changes: readonly Change[], raw: unknown): void;
  connection(state: 'lost' | 'back', view: RunView | null): void;
  /** With the run as it ended, or null when it goes on without us. */
  close(last: RunView | null): void;
}

function livePresenter({ io, printer }: FollowRunOptions): Presenter {
  const screen = createScreen(io.stdout);
  let view: RunView | null = null;
  let frame = 0;
  let timer: NodeJS.Timeout | undefined;
  const options = (height: number | undefined) => ({
    nowMs: io.now(),
    width: io.stdout.columns,
    height,
    frame,
    style: printer.style,
  });
  const draw = (): void => {
    frame++;
    if (view) screen.draw(renderLive(view, options(io.stdout.rows - 1)));
  };
  return {
    begin(first) {
      view = first;
      draw();
      timer = setInterval(draw, frameMs);
    },
    changed: (next) => {
      view = next;
    },
    connection(_state, next) {
      view = next;
      draw();
    },
    close(last) {
      clearInterval(timer);
      screen.close();
      if (last) printer.lines([...renderFinal(last, options(undefined)), ...renderSummary(last, printer.style)]);
      else if (view) printer.lines(renderLive(view, options(io.stdout.rows - 1)));
    },
  };
}

function linePresenter({ io, printer }: FollowRunOptions): Presenter {
  return {
    begin: (view, at) => printer.lines(openingLines(view, at)),
    changed(view, changes) {
      const lines = changes.map((change) => lineOf(view, change)).filter((line) => line !== null);
      if (lines.length > 0) printer.lines(lines);
    },
    connection(state) {
      const at = `${new Date(io.now()).toISOString().slice(0, 19)}Z`;
      printer.remark(
        state === 'lost'
          ? `${at}  the connection to the server is lost, trying again; the run goes on`
          : `${at}  connected again`,
      );
    },
    close(last) {
      if (last) printer.lines(renderSummary(last, printer.style));
    },
  };
}

/** One event a line on stdout; remarks on stderr. */
function jsonPresenter(io: Io): Presenter {
  const write = (value: unknown): void => io.stdout.write(`${JSON.stringify(value)}\n`);
  return {
    begin: ({ deployment, nodes }) => write({ type: 'snapshot', deployment, nodes }),
    changed: (_view, _changes, raw) => write(raw),
    connection: (state) =>
      io.stderr.write(state === 'lost' ? 'the connection to the server is lost, trying again\n' : 'connected again\n'),
    close(last) {
      if (last) write({ type: 'end', deployment: last.deployment, nodes: last.nodes });
    },
  };
}

function detachLines(view: RunView | null, { deploymentId, embedded }: FollowRunOptions): string[] {
  const name = view
    ? `Deployment ${view.deployment.number} of ${view.deployment.environmentName}`
    : `Deployment ${deploymentId}`;
  const target = view ? refOf(view) : deploymentId;
  if (embedded) {
    return [
      `${name} is interrupted: the server of this command stops with it. The run continues at the next start: windlass up`,
      `Stop it for good, after that:  windlass cancel ${target}`,
    ];
  }
  return [
    `Detached. ${name} goes on.`,
    `Follow it again:  windlass deployment watch ${deploymentId}`,
    `Stop it:          windlass cancel ${target} (lets running tools finish) · windlass abort ${target} · windlass rollback ${target}`,
  ];
}

function approvalLines(view: RunView, { printer, io, embedded, deploymentId }: FollowRunOptions): string[] {
  return [
    ...renderApprovals(view, {
      nowMs: io.now(),
      width: io.stderr.isTTY ? io.stderr.columns : 10_000,
      style: printer.errorStyle,
    }),
    embedded
      ? 'Nothing goes on without a decision. The server of this command stops now and keeps the run: decide with the commands above.'
      : `Nothing goes on without a decision. Follow the run again: windlass deployment watch ${deploymentId}`,
  ];
}

/** A deployment that is not followed, as a machine or a person wants to see it. */
export function describeAccepted(deployment: Deployment): string[] {
  return [
    `Deployment ${deployment.number} of ${deployment.environmentName} is ${deployment.status} · ${deployment.id}`,
    `Follow it:  windlass deployment watch ${deployment.id}`,
  ];
}
