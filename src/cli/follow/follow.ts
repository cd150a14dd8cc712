import { ApiError, collect } from '../../client/index.ts';
import type { Client } from '../../client/index.ts';
import { isTerminalDeployment } from '../../model/index.ts';
import type { Deployment } from '../../model/index.ts';
import { exitCodeOfRun, exitCodes } from '../exit.ts';
import type { Io, Printer } from '../io.ts';
import { lineOf, openingLines } from './lines.ts';
import { refOf, renderApprovals, renderFinal, renderLive } from './render.ts';
import { createScreen } from './screen.ts';
import { renderSummary } from './summary.ts';
import type { Change, DriftFound, RunEvent, RunView } from './view.ts';
import { addApproval, applyEvent, applyProgress, applySnapshot, createView, isBlockedByApproval } from './view.ts';

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

  /** Whether nothing goes on without a person. */
  async function take(message: RunEvent): Promise<boolean> {
    const at = new Date(io.now()).toISOString();
    const { event, data } = message;
    if (event === 'snapshot') {
      if (view === null) {
        view = createView(data);
        await loadApprovals(client, view);
        presenter.begin(view, at);
      } else {
        presenter.changed(view, applySnapshot(view, data, at), { type: 'snapshot', ...data });
        await loadApprovals(client, view);
      }
    } else if (view !== null) {
      if (event === 'progress') presenter.changed(view, applyProgress(view, data, at), data);
      else if (event !== 'end') {
        let changes = applyEvent(view, data);
        if (view.incomplete) changes = [...changes, ...(await loadNodes(client, view, at))].map(withName(view));
        if (changes.some(asksForDetails)) await loadApprovals(client, view);
        presenter.changed(view, changes, data);
      }
    }
    return view !== null && leaveOnApproval && isBlockedByApproval(view);
  }

  try {
    const events = client.deployments.events.stream(
      { params: { ref: options.deploymentId } },
      {
        signal: abort.signal,
        onConnection: (state) => {
          if (view) view.connection = state === 'lost' ? 'reconnecting' : 'connected';
          presenter.connection(state);
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

function asksForDetails(change: Change): boolean {
  return change.kind === 'approval' || (change.kind === 'node' && change.node.status === 'waitingForApproval');
}

/** Decisions that are waited for, with what they are about. Without them the picture is poorer but still right. */
async function loadApprovals(client: Client, view: RunView): Promise<void> {
  const missing = view.nodes.filter(
    (node) =>
      node.status === 'waitingForApproval' && (node.approvalId === null || !view.approvals.has(node.approvalId)),
  );
  if (missing.length === 0) return;
  try {
    const { items } = await collect(
      client.approvals.list,
      { query: { deployment: view.deployment.id, status: 'pending' } },
      { limit: 200 },
    );
    for (const approval of items) {
      addApproval(view, approval);
      const at = view.nodes.findIndex((node) => node.alias === approval.alias && node.status === 'waitingForApproval');
      const node = view.nodes[at];
      if (node) view.nodes[at] = { ...node, approvalId: approval.id };
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
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
  const last = createView({ deployment, nodes });
  if (view) last.approvals = view.approvals;
  const environment = await client.environments.get({ params: { ref: deployment.environmentId } }).catch(() => null);
  last.environmentStatus = environment?.status ?? null;
  if (deployment.status !== 'succeeded') last.lastGood = await findLastGood(client, deployment);
  if (deployment.type === 'drift') last.drift = await findDrift(client, deployment);
  return last;
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
async function loadNodes(client: Client, view: RunView, at: string): Promise<Change[]> {
  try {
    const params = { ref: view.deployment.id };
    const { items: nodes } = await collect(client.deployments.nodes, { params }, { pageSize: 1000 });
    // How many run at once is known since the nodes are; the rest of it is told by events.
    const { maxParallel } = await client.deployments.get({ params: { ref: view.deployment.id } });
    return applySnapshot(view, { deployment: { ...view.deployment, maxParallel }, nodes }, at);
  } catch (error) {
    // The next event asks again.
    if (error instanceof ApiError) return [];
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
  connection(state: 'lost' | 'back'): void;
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
    connection: draw,
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
