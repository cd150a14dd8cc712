import { at, makeDeployment, makeEvent, makeNode, shopNodes } from '../cli/testing/records.test-support.ts';
import { createView, isBlockedByApproval, reduceRun, waitsFor } from './run-view.ts';
import type { Change, RunMessage, RunView } from './run-view.ts';

/** A view that changes with what is heard. */
class Followed {
  view: RunView;

  constructor(view: RunView = createView({ deployment: makeDeployment(), nodes: shopNodes() })) {
    this.view = view;
  }

  take(message: RunMessage): readonly Change[] {
    const { view, changes } = reduceRun(this.view, message);
    this.view = view;
    return changes;
  }

  event(...given: Parameters<typeof makeEvent>): readonly Change[] {
    return this.take({ kind: 'event', event: makeEvent(...given) });
  }
}

test('progress belongs to the node that runs, and goes with its stage', () => {
  const run = new Followed();
  run.event(1, 'node.status', { alias: 'vpc', data: { index: 0, status: 'running' } });
  run.take({ kind: 'progress', progress: { alias: 'vpc', index: 0, progress: '1 of 3 resources' }, at: at(1) });
  expect(run.view.nodes[0]?.progress).toBe('1 of 3 resources');
  run.event(2, 'node.stage', { alias: 'vpc', data: { index: 0, stage: 'outputs' } });
  expect(run.view.nodes[0]?.progress).toBeNull();
});

test('nodes of a compensation appear when they begin, beside those they take back', () => {
  const run = new Followed();
  run.event(1, 'node.status', {
    alias: 'eks',
    data: { index: 2, status: 'running', compensation: true, action: 'destroy' },
  });
  expect(run.view.nodes).toHaveLength(7);
  expect(run.view.nodes[6]).toMatchObject({
    alias: 'eks',
    name: 'EKS',
    compensation: true,
    action: 'destroy',
    status: 'running',
  });
  expect(run.view.nodes[2]).toMatchObject({ status: 'pending', compensation: false });
});

test('events of a shape that is not known change nothing', () => {
  const run = new Followed();
  expect(run.event(1, 'node.status', { data: { index: 'zero', status: 'odd' } })).toEqual([]);
  expect(run.event(2, 'drift.result', { data: {} })).toEqual([]);
  expect(run.view.nodes).toEqual(shopNodes());
});

test('a snapshot after a lost connection tells what was missed', () => {
  const run = new Followed();
  const nodes = shopNodes({ vpc: { status: 'succeeded' }, db: { status: 'running', stage: 'plan' } });
  const changes = run.take({ kind: 'snapshot', snapshot: { deployment: makeDeployment(), nodes }, at: at(9) });
  expect(
    changes.map((change) => (change.kind === 'node' ? `${change.node.alias} ${change.node.status}` : change.kind)),
  ).toEqual(['vpc succeeded', 'db running']);
});

test('events that are older than a snapshot do not turn a node back', () => {
  const vpc = {
    status: 'succeeded',
    stage: 'outputs',
    startedAt: at(1),
    finishedAt: at(3),
    stageTimes: { apply: { startedAt: at(2), finishedAt: at(3) } },
  } as const;
  const run = new Followed(createView({ deployment: makeDeployment(), nodes: shopNodes({ vpc }) }));
  const replayed = [
    makeEvent(1, 'node.status', { alias: 'vpc', data: { index: 0, status: 'running' } }),
    makeEvent(2, 'node.stage', { alias: 'vpc', data: { index: 0, stage: 'apply' } }),
    makeEvent(3, 'node.status', { alias: 'vpc', data: { index: 0, status: 'succeeded' } }),
  ];
  expect(replayed.flatMap((event) => run.take({ kind: 'event', event }))).toEqual([]);
  expect(run.view.nodes[0]?.status).toBe('succeeded');
  const retried = makeEvent(4, 'node.status', { alias: 'vpc', data: { index: 0, status: 'pending' } });
  expect(run.take({ kind: 'event', event: retried })).toHaveLength(1);
});

test('what a node waits for are the needs that are not over', () => {
  const view = createView({ deployment: makeDeployment(), nodes: shopNodes({ db: { status: 'succeeded' } }) });
  const billing = view.nodes[3];
  expect(billing && waitsFor(view, billing)).toEqual(['EKS']);
});

describe('nothing goes on without a person', () => {
  const blocked = (changes: Parameters<typeof shopNodes>[0], deployment = makeDeployment()): boolean =>
    isBlockedByApproval(createView({ deployment, nodes: shopNodes(changes) }));
  const done = { status: 'succeeded' } as const;
  const waiting = { status: 'waitingForApproval' } as const;

  test('when all that is left waits for a decision', () => {
    expect(blocked({ vpc: done, db: done, eks: waiting })).toBe(true);
    expect(blocked({ vpc: done, db: waiting, eks: waiting })).toBe(true);
  });
  test('not while a branch goes on, or is about to', () => {
    expect(blocked({ vpc: done, db: { status: 'running' }, eks: waiting })).toBe(false);
    expect(blocked({ vpc: done, eks: waiting })).toBe(false);
    expect(blocked({ vpc: done, db: { status: 'retrying' }, eks: waiting })).toBe(false);
  });
  test('not when the run is stopping, paused or over', () => {
    const nodes = { vpc: done, db: done, eks: waiting };
    expect(blocked(nodes, makeDeployment({ status: 'stopping' }))).toBe(false);
    expect(blocked(nodes, makeDeployment({ paused: true }))).toBe(false);
    expect(blocked(nodes, makeDeployment({ status: 'cancelled' }))).toBe(false);
  });
});

test('thousands of events on thousands of nodes are taken in', () => {
  const nodes = Array.from({ length: 3000 }, (_, index) => makeNode(`n${index}`, { index }));
  const run = new Followed(createView({ deployment: makeDeployment(), nodes }));
  for (let index = 0; index < 3000; index++)
    run.event(index, 'node.status', { alias: `n${index}`, data: { index, status: 'succeeded' } });
  expect(run.view.nodes.every(({ status }) => status === 'succeeded')).toBe(true);
});

test('nothing goes on without a decision while what is no longer wanted waits for it, too', () => {
  const view = createView({
    deployment: makeDeployment(),
    nodes: [
      makeNode('vpc', { status: 'waitingForApproval' }),
      makeNode('old', { index: 1, action: 'destroy', removal: 'destroy', status: 'pending' }),
    ],
  });
  expect(isBlockedByApproval(view)).toBe(true);
});
