import { at, makeDeployment, makeNode, shopNodes } from '../testing/records.test-support.ts';
import { plainStyle } from '../text/style.ts';
import { criticalPath, renderSummary } from './summary.ts';
import { createView } from '../../view/index.ts';
import type { DriftFound } from '../../view/index.ts';
import { titleOf } from './words.ts';

test('a run that went well: what has become of the environment, how long, and why so long', () => {
  const view = createView({
    deployment: makeDeployment({ status: 'succeeded', finishedAt: at(3.2) }),
    nodes: shopNodes({
      vpc: { status: 'succeeded', startedAt: at(0), finishedAt: at(1.1) },
      db: { status: 'succeeded', startedAt: at(1.1), finishedAt: at(2) },
      eks: { status: 'succeeded', startedAt: at(1.1), finishedAt: at(2.2) },
      billing: { status: 'succeeded', startedAt: at(2.2), finishedAt: at(3.2) },
      configuration: { status: 'succeeded', startedAt: at(2.2), finishedAt: at(3) },
      notification: { status: 'succeeded', ran: false, startedAt: at(2.2), finishedAt: at(2.3) },
    }),
  });
  expect(renderSummary(view, plainStyle)).toEqual([
    '✔ Active · 5 deployed · 1 unchanged · 3.2 s · longest path VPC and Network → EKS → Billing Service',
    '',
    'Next:  windlass status shop · windlass logs shop · windlass destroy shop',
  ]);
});

test('a run that went well says beside it when the environment is not whole', () => {
  const view = createView({
    deployment: makeDeployment({ status: 'succeeded', finishedAt: at(1) }),
    nodes: shopNodes({ vpc: { status: 'succeeded', startedAt: at(0), finishedAt: at(1) } }).slice(0, 1),
  });
  const lineWith = (status: typeof view.environmentStatus): string | undefined => {
    return renderSummary({ ...view, environmentStatus: status }, plainStyle)[0];
  };
  expect(lineWith('partlyDeployed')).toBe('✔ Succeeded · 1 deployed · 1.0 s · environment partly deployed');
  expect(lineWith('failed')).toBe('✔ Succeeded · 1 deployed · 1.0 s · environment failed');
  expect(lineWith('active')).toBe('✔ Active · 1 deployed · 1.0 s');
  // The next run of the environment has begun.
  expect(lineWith('destroyInProgress')).toBe('✔ Active · 1 deployed · 1.0 s');
});

test('a run that failed: what, where, why, and the commands that come next', () => {
  const reason = { kind: 'failedAncestor', alias: 'db', message: 'need DB' };
  const view = createView({
    deployment: makeDeployment({ status: 'failed', finishedAt: at(41) }),
    nodes: shopNodes({
      vpc: { status: 'succeeded', startedAt: at(0), finishedAt: at(1) },
      eks: { status: 'succeeded', startedAt: at(1), finishedAt: at(2) },
      db: {
        status: 'failed',
        stage: 'apply',
        startedAt: at(1),
        finishedAt: at(41),
        error: {
          class: 'provider',
          message: 'aws_db_instance.main: DBInstanceAlreadyExists: shop-db',
          where: 'main.tf:14',
          hint: 'state: verified, lock free',
        },
      },
      billing: { status: 'skipped', reason },
      configuration: { status: 'skipped', reason },
      notification: { status: 'skipped', reason },
    }),
  });
  expect(renderSummary({ ...view, lastGood: 7 }, plainStyle)).toEqual([
    '✖ Failed · 2 deployed · 1 failed · 3 skipped · 41 s',
    '  ✖ DB   apply   aws_db_instance.main: DBInstanceAlreadyExists: shop-db',
    '         main.tf:14 · class: provider · log: windlass logs shop/db --stage apply',
    '         state: verified, lock free',
    '  ⊘ Billing Service, Configuration Service, Notification Service   need DB',
    '',
    'Fix it, then:  windlass resume shop     runs DB, Billing Service, Configuration Service, Notification Service; keeps the rest',
    '               windlass rollback shop   takes VPC and Network, EKS back to deployment 7',
  ]);
});

test('a file that was wrong: every problem with its place', () => {
  const problems = [
    {
      message: 'unknown sub-environment "ek" in needs; did you mean "eks"?',
      file: 'shop.workflow.yml',
      line: 12,
      column: 11,
    },
  ];
  const view = createView({
    deployment: makeDeployment({
      number: 1,
      status: 'failed',
      error: { class: 'definition', message: 'the workflow file has 1 problem', problems },
    }),
    nodes: [],
  });
  expect(renderSummary(view, plainStyle)).toEqual([
    '✖ Failed',
    '  the workflow file has 1 problem',
    '    shop.workflow.yml:12:11  unknown sub-environment "ek" in needs; did you mean "eks"?',
    '',
    'Fix it, then:  windlass deploy shop',
  ]);
});

test('a destroy that went well ends inactive', () => {
  const nodes = shopNodes().map((node) => ({ ...node, action: 'destroy' as const, status: 'succeeded' as const }));
  const view = createView({
    deployment: makeDeployment({ type: 'destroy', status: 'succeeded', finishedAt: at(2) }),
    nodes,
  });
  expect(renderSummary(view, plainStyle)[0]).toBe('✔ Inactive · 6 destroyed · 2.0 s');
});

test('names that a shell would take apart are quoted in commands', () => {
  const view = createView({
    deployment: makeDeployment({ environmentName: 'my shop', status: 'cancelled' }),
    nodes: shopNodes(),
  });
  expect(renderSummary(view, plainStyle).join('\n')).toContain("windlass resume 'my shop'");
});

test('the longest path survives a cycle in the records', () => {
  const times = { startedAt: at(0), finishedAt: at(1) };
  expect(
    criticalPath([makeNode('a', { needs: ['b'], ...times }), makeNode('b', { needs: ['a'], ...times })]),
  ).toHaveLength(2);
});

describe('a run of one node', () => {
  const partial = { operation: 'single-node-destroy', node: 'vpc', force: false } as const;
  const request = { ...makeDeployment().request, partial };

  test('says what it does to which node, although it is recorded as a deploy of the graph', () => {
    const titles = [
      makeDeployment({ request }),
      makeDeployment({
        request: { ...request, partial: { operation: 'single-node-deploy', node: 'vpc', trickleDown: 'all' } },
      }),
      makeDeployment({ request: { ...request, partial: { operation: 'run-from-here', node: 'vpc' } } }),
      makeDeployment({ type: 'drift' }),
    ].map((deployment) => titleOf(deployment));
    expect(titles).toEqual([
      'Destroying shop/vpc',
      'Deploying shop/vpc',
      'Deploying shop from vpc on',
      'Checking for drift in shop',
    ]);
  });

  test('that is refused for its dependents is told once, with the commands that fit', () => {
    const message =
      '"vpc" is needed by "db", "eks", which would be left without it; destroy them first, or use --force';
    const error = { class: 'definition' as const, message, problems: [{ message }] };
    const view = createView({ deployment: makeDeployment({ request, status: 'failed', error }), nodes: [] });
    expect(renderSummary(view, plainStyle)).toEqual([
      '✖ Failed',
      `  ${message}`,
      '',
      'Fix it, then:  windlass destroy shop/vpc           when nothing needs it any more',
      '               windlass destroy shop/vpc --force   although others need it',
    ]);
  });
});

test('a check for drift names what is not as it was deployed', () => {
  const view = createView({
    deployment: makeDeployment({ type: 'drift', status: 'succeeded', finishedAt: at(3) }),
    nodes: [
      makeNode('vpc', { name: 'Network', action: 'drift', status: 'succeeded' }),
      makeNode('db', { index: 1, action: 'drift', status: 'succeeded' }),
    ],
  });
  const drift: DriftFound[] = [
    { alias: 'vpc', resources: [{ address: 'aws_vpc.main', action: 'update' }] },
    { alias: 'db', resources: ['a', 'b', 'c', 'd', 'e'].map((name) => ({ address: name, action: 'delete' })) },
  ];
  const [head, ...lines] = renderSummary({ ...view, drift }, plainStyle);
  expect(head).toContain('2 checked · 2 drifted');
  expect(lines.slice(0, 2)).toEqual([
    '  Network   changed aws_vpc.main',
    '  db        gone a, gone b, gone c and 2 more',
  ]);
});
