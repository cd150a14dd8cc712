import { at, makeDeployment, makeEvent, makeNode, shopNodes } from '../testing/records.test-support.ts';
import { lineOf } from './lines.ts';
import { applyEvent, applyProgress, applySnapshot, createView, isBlockedByApproval, waitsFor } from './view.ts';
import type { RunView } from './view.ts';

const fresh = (): RunView => createView({ deployment: makeDeployment(), nodes: shopNodes() });

test('the events of a node bring it from waiting to deployed, and each is one line of a log', () => {
  const view = fresh();
  const events = [
    makeEvent(1, 'node.status', {
      alias: 'vpc',
      data: { index: 0, status: 'running', try: 1, action: 'deploy', compensation: false },
    }),
    makeEvent(2, 'node.stage', { alias: 'vpc', data: { index: 0, stage: 'apply', compensation: false } }),
    makeEvent(3, 'node.status', {
      alias: 'vpc',
      data: {
        index: 0,
        status: 'succeeded',
        try: 1,
        ran: true,
        counts: { add: 3, change: 0, destroy: 0 },
        startedAt: at(1),
        finishedAt: at(3),
        compensation: false,
      },
    }),
    makeEvent(4, 'deployment.status', { data: { status: 'failed' } }),
  ];
  const lines = events.flatMap((event) => applyEvent(view, event).map((change) => lineOf(view, change)));
  expect(lines).toEqual([
    '2026-03-01T12:00:01Z  VPC and Network: started',
    '2026-03-01T12:00:02Z  VPC and Network: apply',
    '2026-03-01T12:00:03Z  VPC and Network: deployed  +3 ~0 -0  2.0 s',
    '2026-03-01T12:00:04Z  deployment 8 of shop: failed',
  ]);
  expect(view.nodes[0]).toMatchObject({ status: 'succeeded', counts: { add: 3, change: 0, destroy: 0 } });
});

test('progress belongs to the node that runs, and goes with its stage', () => {
  const view = fresh();
  applyEvent(view, makeEvent(1, 'node.status', { alias: 'vpc', data: { index: 0, status: 'running' } }));
  applyProgress(view, { alias: 'vpc', index: 0, progress: '1 of 3 resources' }, at(1));
  expect(view.nodes[0]?.progress).toBe('1 of 3 resources');
  applyEvent(view, makeEvent(2, 'node.stage', { alias: 'vpc', data: { index: 0, stage: 'outputs' } }));
  expect(view.nodes[0]?.progress).toBeNull();
});

test('nodes of a compensation appear when they begin, beside those they take back', () => {
  const view = fresh();
  applyEvent(
    view,
    makeEvent(1, 'node.status', {
      alias: 'eks',
      data: { index: 2, status: 'running', compensation: true, action: 'destroy' },
    }),
  );
  expect(view.nodes).toHaveLength(7);
  expect(view.nodes[6]).toMatchObject({
    alias: 'eks',
    name: 'EKS',
    compensation: true,
    action: 'destroy',
    status: 'running',
  });
  expect(view.nodes[2]).toMatchObject({ status: 'pending', compensation: false });
});

test('events of a shape that is not known change nothing', () => {
  const view = fresh();
  expect(applyEvent(view, makeEvent(1, 'node.status', { data: { index: 'zero', status: 'odd' } }))).toEqual([]);
  expect(applyEvent(view, makeEvent(2, 'drift.result', { data: {} }))).toEqual([]);
  expect(view.nodes).toEqual(shopNodes());
});

test('a snapshot after a lost connection tells what was missed', () => {
  const view = fresh();
  const nodes = shopNodes({ vpc: { status: 'succeeded' }, db: { status: 'running', stage: 'plan' } });
  const changes = applySnapshot(view, { deployment: makeDeployment(), nodes }, at(9));
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
  const view = createView({ deployment: makeDeployment(), nodes: shopNodes({ vpc }) });
  const replayed = [
    makeEvent(1, 'node.status', { alias: 'vpc', data: { index: 0, status: 'running' } }),
    makeEvent(2, 'node.stage', { alias: 'vpc', data: { index: 0, stage: 'apply' } }),
    makeEvent(3, 'node.status', { alias: 'vpc', data: { index: 0, status: 'succeeded' } }),
  ];
  expect(replayed.flatMap((event) => applyEvent(view, event))).toEqual([]);
  expect(view.nodes[0]?.status).toBe('succeeded');
  const retried = makeEvent(4, 'node.status', { alias: 'vpc', data: { index: 0, status: 'pending' } });
  expect(applyEvent(view, retried)).toHaveLength(1);
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
  const view = createView({ deployment: makeDeployment(), nodes });
  for (let index = 0; index < 3000; index++)
    applyEvent(view, makeEvent(index, 'node.status', { alias: `n${index}`, data: { index, status: 'succeeded' } }));
  expect(view.nodes.every(({ status }) => status === 'succeeded')).toBe(true);
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
