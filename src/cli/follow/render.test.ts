import type { Event } from '../../model/index.ts';
import { plainStyle, asciiGlyphs } from '../text/style.ts';
import {
  at,
  makeApproval,
  makeDeployment,
  makeEvent,
  makeNode,
  shopNodes,
  startMs,
} from '../testing/records.test-support.ts';
import { widthOf } from '../text/width.ts';
import { renderFinal, renderLive } from './render.ts';
import type { RenderOptions } from './render.ts';
import { createView, reduceRun } from '../../view/index.ts';

const options = (changes: Partial<RenderOptions> = {}): RenderOptions => ({
  nowMs: startMs + 2_600,
  width: 100,
  height: 40,
  frame: 2,
  style: plainStyle,
  ...changes,
});

const inProgress = shopNodes({
  vpc: { status: 'succeeded', counts: { add: 3, change: 0, destroy: 0 }, startedAt: at(0), finishedAt: at(1.1) },
  db: { status: 'succeeded', counts: { add: 2, change: 0, destroy: 0 }, startedAt: at(1.1), finishedAt: at(2) },
  eks: { status: 'running', stage: 'apply', progress: '3 of 5 resources', startedAt: at(2) },
});

test('a run in progress: tree, stage, counts, elapsed, progress, and what is waited for', () => {
  expect(renderLive(createView({ deployment: makeDeployment(), nodes: inProgress }), options())).toEqual([
    'Deploying shop · 6 sub-environments · deployment 8',
    '  ✔ VPC and Network               deployed   +3 ~0 -0   1.1 s',
    '  ├─ ✔ DB                         deployed   +2 ~0 -0   0.9 s',
    '  └─ ⠹ EKS                        apply                 0.6 s   3 of 5 resources',
    '     ├─ ◌ Billing Service         waiting                       waits for EKS',
    '     ├─ ◌ Configuration Service   waiting                       waits for EKS',
    '     └─ ◌ Notification Service    waiting                       waits for EKS',
    '⠹ 2 of 6 done · 1 running · 3 to come · 2.6 s',
  ]);
});

test('a node that tries again later: whose calls or lock it waits for, and until when', () => {
  let view = createView({ deployment: makeDeployment(), nodes: inProgress });
  const hear = (event: Event): void => {
    view = reduceRun(view, { kind: 'event', event }).view;
  };
  const event = (error: Event['data'], wait: Event['data']) =>
    makeEvent(3, 'node.status', { alias: 'eks', data: { index: 2, status: 'retrying', try: 1, error, wait } });
  const until = '2026-03-01T13:00:30.123+01:00';
  const shown = (): string | undefined =>
    renderLive(view, options({ width: 200 })).find((line) => line.includes('EKS '));
  hear(event({ class: 'quota', message: 'slow' }, { until, account: 'the account AWS_PROFILE=prod' }));
  expect(shown()).toContain('waits until 2026-03-01 12:00:30 UTC: the account AWS_PROFILE=prod asked for slower calls');
  const lock = { by: 'deploy 7 of shop', since: '2026-03-01T12:00:00+00:00' };
  hear(event({ class: 'lock', message: 'locked' }, { until, lock }));
  expect(shown()).toContain(
    'its state is locked by deploy 7 of shop since 2026-03-01 12:00:00 UTC, tries again at 2026-03-01 12:00:30 UTC',
  );
  hear(makeEvent(5, 'node.status', { alias: 'eks', data: { index: 2, status: 'running', try: 2 } }));
  expect(shown()).not.toContain('UTC');
});

test('the same without UTF-8', () => {
  const lines = renderLive(
    createView({ deployment: makeDeployment(), nodes: inProgress }),
    options({ style: { ...plainStyle, glyphs: asciiGlyphs } }),
  );
  expect(lines[3]).toBe('  `- | EKS                        apply                 0.6 s   3 of 5 resources');
  expect(lines.join('\n')).not.toMatch(/[^\x00-\x7f…]/);
});

test('no line is wider than the terminal', () => {
  for (const width of [20, 40, 60, 79]) {
    for (const line of renderLive(
      createView({ deployment: makeDeployment(), nodes: inProgress }),
      options({ width }),
    )) {
      expect(widthOf(line)).toBeLessThanOrEqual(width);
    }
  }
});

test('a node that waits for a person: what it would do, the commands, how long there is', () => {
  const nodes = shopNodes({
    vpc: { status: 'succeeded', startedAt: at(0), finishedAt: at(1) },
    db: { status: 'running', stage: 'apply', startedAt: at(1) },
    eks: {
      status: 'waitingForApproval',
      stage: 'approval',
      startedAt: at(1),
      approvalId: 'apr_1',
      counts: { add: 1, change: 2, destroy: 1 },
    },
  });
  const { view } = reduceRun(createView({ deployment: makeDeployment(), nodes }), {
    kind: 'approvals',
    approvals: [makeApproval({ required: 2 })],
  });
  expect(renderLive(view, options({ nowMs: startMs + 2_000 })).slice(-5)).toEqual([
    '◷ EKS needs approval: 1 to add, 2 to change, 1 to destroy (aws_eks_node_group.old)',
    '  windlass plan show shop/eks · windlass approve shop/eks --comment "…" · windlass reject shop/eks',
    '  expires in 13 d 23 h · asked for by administrator · 0 of 2 approvals given',
    '  branches not waiting go on: 1 running',
    '⠹ 1 of 6 done · 1 running · 1 waiting for approval · 3 to come · 2.0 s',
  ]);
});

test('of thousands of nodes those that need a look, and counts of the others', () => {
  const nodes = Array.from({ length: 2000 }, (_, index) => {
    const name = `node-${index}`;
    if (index < 50) return makeNode(name, { index, status: 'succeeded', startedAt: at(0), finishedAt: at(1) });
    if (index < 60) return makeNode(name, { index, status: 'running', stage: 'apply', startedAt: at(1) });
    if (index === 60)
      return makeNode(name, {
        index,
        status: 'failed',
        stage: 'apply',
        startedAt: at(1),
        finishedAt: at(2),
        error: { class: 'provider', message: 'no quota' },
      });
    return makeNode(name, { index });
  });
  const lines = renderLive(createView({ deployment: makeDeployment(), nodes }), options({ height: 16, width: 80 }));
  expect(lines).toHaveLength(14);
  expect(lines[0]).toBe('Deploying shop · 2,000 sub-environments · deployment 8');
  expect(lines[1]).toBe('  ✖ node-60   failed   1.0 s   no quota');
  expect(lines[2]).toBe('  ⠹ node-50   apply    1.6 s');
  expect(lines.slice(-2)).toEqual([
    '  … and 1,989 more: 1,939 waiting, 50 deployed',
    '⠹ 51 of 2,000 done · 10 running · 1 failed · 1,939 to come · 2.6 s',
  ]);
});

test('a picture is never taller than the terminal', () => {
  const nodes = Array.from({ length: 300 }, (_, index) =>
    makeNode(`n${index}`, { index, status: 'running', stage: 'plan', startedAt: at(0) }),
  );
  for (const height of [4, 7, 12, 30]) {
    expect(
      renderLive(createView({ deployment: makeDeployment(), nodes }), options({ height })).length,
    ).toBeLessThanOrEqual(height);
  }
});

test('queued, paused and disconnected runs say so', () => {
  const last = (
    changes: Parameters<typeof makeDeployment>[0],
    connection: 'connected' | 'reconnecting' = 'connected',
  ): string | undefined => {
    const view = createView({ deployment: makeDeployment(changes), nodes: shopNodes() });
    return renderLive({ ...view, connection }, options()).at(-1);
  };
  expect(last({ status: 'queued', queuePosition: 2 })).toBe('◌ queued, number 2 in line · windlass cancel shop');
  expect(last({ paused: true })).toBe('⠹ 0 of 6 done · 6 to come · paused, go on with: windlass continue shop · 2.6 s');
  expect(last({}, 'reconnecting')).toBe('⠹ the connection to the server is lost, trying again · the run goes on');
});

test('the tree of a compensation stands below the run it takes back', () => {
  const nodes = [
    ...shopNodes().slice(0, 1),
    makeNode('vpc', {
      name: 'VPC and Network',
      compensation: true,
      action: 'destroy',
      status: 'succeeded',
      startedAt: at(2),
      finishedAt: at(2.5),
    }),
  ];
  expect(renderFinal(createView({ deployment: makeDeployment({ status: 'rolledBack' }), nodes }), options())).toEqual([
    'Deploying shop · 1 sub-environment · deployment 8',
    '  ◌ VPC and Network   waiting',
    '  Taking back',
    '  ✔ VPC and Network   destroyed   0.5 s',
  ]);
});

test('names from a hostile file cannot steer the terminal', () => {
  const nodes = [
    makeNode('x', {
      name: 'a\u001b[2J\nb',
      status: 'failed',
      startedAt: at(0),
      finishedAt: at(1),
      error: { class: 'tool', message: 'x\u001b]0;t\u0007\r\ny' },
    }),
  ];
  expect(renderFinal(createView({ deployment: makeDeployment(), nodes }), options())[1]).toBe(
    '  ✖ a b   failed   1.0 s   x y',
  );
});
