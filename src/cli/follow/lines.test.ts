import { createView, reduceRun } from '../../view/index.ts';
import { at, makeDeployment, makeEvent, shopNodes } from '../testing/records.test-support.ts';
import { lineOf } from './lines.ts';

test('the events of a node bring it from waiting to deployed, and each is one line of a log', () => {
  let view = createView({ deployment: makeDeployment(), nodes: shopNodes() });
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
  const lines = events.flatMap((event) => {
    const step = reduceRun(view, { kind: 'event', event });
    view = step.view;
    return step.changes.map((change) => lineOf(view, change));
  });
  expect(lines).toEqual([
    '2026-03-01T12:00:01Z  VPC and Network: started',
    '2026-03-01T12:00:02Z  VPC and Network: apply',
    '2026-03-01T12:00:03Z  VPC and Network: deployed  +3 ~0 -0  2.0 s',
    '2026-03-01T12:00:04Z  deployment 8 of shop: failed',
  ]);
  expect(view.nodes[0]).toMatchObject({ status: 'succeeded', counts: { add: 3, change: 0, destroy: 0 } });
});
