import type { EnvironmentStatusReport, NodeState } from '../model/index.ts';
import { renderStatus } from './status-text.ts';
import {
  at,
  makeApproval,
  makeDeployment,
  makeEnvironment,
  makeNode,
  startMs,
} from './testing/records.test-support.ts';
import { plainStyle } from './text/style.ts';

const options = { nowMs: startMs + 60_000, width: 80, style: plainStyle };

function node(alias: string, changes: Partial<NodeState> = {}, last: Partial<NonNullable<NodeState['last']>> = {}) {
  const run = makeNode(alias, { status: 'succeeded', startedAt: at(0), finishedAt: at(30) });
  return {
    alias,
    within: [],
    name: alias.toUpperCase(),
    environmentId: `env_${alias}`,
    needs: [],
    status: 'active',
    disabled: false,
    drift: 'neverRun',
    stateUnverified: null,
    expiresAt: null,
    expiryHeld: null,
    templateName: null,
    type: 'opentofu',
    last: { ...run, deploymentId: 'dep_7', deploymentNumber: 7, deploymentType: 'deploy', ...last },
    ...changes,
  } satisfies NodeState;
}

function report(changes: Partial<EnvironmentStatusReport> = {}): EnvironmentStatusReport {
  return {
    environment: makeEnvironment({ currentDeploymentId: null }),
    path: 'shop',
    current: null,
    last: makeDeployment({ id: 'dep_7', number: 7, status: 'succeeded', finishedAt: at(41), requestedBy: 'ana' }),
    queued: [],
    reading: [],
    lastPlan: null,
    lastDriftCheck: null,
    approvals: [],
    nodes: [node('vpc'), node('eks', { needs: ['vpc'] })],
    ...changes,
  };
}

const render = (changes: Partial<EnvironmentStatusReport> = {}): string =>
  renderStatus(report(changes), options).join('\n');

test('tells the result of the last run, when, and by whom; plans and drift checks have lines of their own', () => {
  const text = render({
    lastPlan: makeDeployment({ number: 8, type: 'plan', status: 'succeeded', finishedAt: at(50), requestedBy: 'bob' }),
    lastDriftCheck: makeDeployment({ number: 9, type: 'drift', status: 'failed', finishedAt: at(55) }),
  });
  expect(text).toContain('last run    deployment 7, deploy: succeeded 19 s ago after 41 s, by ana');
  expect(text).toContain('last plan   deployment 8, plan: succeeded 10 s ago after 50 s, by bob');
  expect(text).toContain('last check  deployment 9, drift: failed 5 s ago');
  expect(text).toContain('└─ ✔ EKS (eks)   active   deployed 30 s ago');
});

test('shows stage and elapsed time of what runs, what waits for what, and that a run is paused', () => {
  const open = { deploymentId: 'dep_8', deploymentNumber: 8, finishedAt: null };
  const text = render({
    current: makeDeployment({ id: 'dep_8', paused: true, requestedBy: 'ana', trigger: 'schedule' }),
    queued: [makeDeployment({ id: 'dep_9', number: 9, type: 'destroy', status: 'queued', requestedBy: 'bob' })],
    environment: makeEnvironment({ status: 'deployInProgress' }),
    nodes: [
      node(
        'vpc',
        {},
        {
          ...open,
          status: 'running',
          stage: 'apply',
          progress: '3 of 5 resources',
          stageTimes: { apply: { startedAt: at(48), finishedAt: null } },
        },
      ),
      node('eks', { needs: ['vpc'], status: 'neverDeployed' }, { ...open, status: 'pending', startedAt: null }),
    ],
  });
  expect(text).toContain('running   deployment 8, deploy: 1 min, 0 of 6 done, paused (go on: windlass');
  expect(text).toContain('by ana (schedule)');
  expect(text).toContain('queued    deployment 9, destroy, by bob');
  expect(text).toContain('VPC (vpc)      apply     12 s, 3 of 5 resources');
  expect(text).toContain('EKS (eks)   waiting   waits for VPC');
});

test('shows the end of a node beside it, and why one that has passed does not come', () => {
  const held = '"eks" expired at 10:00, and "app" still needs it: destroy what needs it first, or extend';
  const text = render({
    nodes: [
      node('vpc', { expiresAt: new Date(Date.parse(at(0)) + 3 * 3_600_000).toISOString() }),
      node('eks', { needs: ['vpc'], expiresAt: at(0), expiryHeld: held }),
      node('app', { needs: ['eks'] }),
    ],
  });
  expect(text).toMatch(/VPC \(vpc\) +active +ends in 2 h 59 min, deployed/);
  expect(text).toMatch(/EKS \(eks\) +active +expired .* ago, deployed/);
  expect(text).toMatch(/! "eks" expired at 10:00/);
});

test('gives the error of a failed node whole, with the command that shows its log', () => {
  const message = `aws_db_instance.main: DBInstanceAlreadyExists: ${'a long story '.repeat(8).trim()}`;
  const text = render({
    environment: makeEnvironment({ status: 'failed' }),
    nodes: [
      node(
        'vpc',
        { status: 'failed' },
        { status: 'failed', stage: 'apply', error: { class: 'provider', message, where: 'main.tf:14' } },
      ),
      node(
        'eks',
        { needs: ['vpc'], status: 'neverDeployed' },
        { status: 'skipped', reason: { kind: 'failedAncestor', message: 'needs "vpc", which failed' } },
      ),
    ],
  });
  expect(text).toContain('✖ VPC (vpc)      failed           apply: aws_db_instance.main');
  expect(text).toContain('⊘ EKS (eks)   never deployed   skipped: needs "vpc", which failed');
  const below = text.slice(text.indexOf('\n\n✖'));
  expect(below.replace(/\s+/g, ' ')).toContain(message);
  expect(below).toContain('main.tf:14 · windlass logs shop/vpc --stage apply');
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
});

test('says who has to approve what, and how', () => {
  const text = render({
    approvals: [makeApproval({ required: 2, requestedBy: 'ana', forbidRequester: true })],
  });
  expect(text).toContain('◷ EKS needs approval: 1 to add, 2 to change, 1 to destroy');
  expect(text).toContain(
    'windlass plan show shop/eks · windlass approve shop/eks --comment "…"\n  windlass reject shop/eks',
  );
  expect(text).toContain('asked for by ana, who may not approve it');
  expect(text).toContain('0 of 2 approvals given');
});

test('shows lock, drift, unverified state and the end beside the status', () => {
  const { flags } = makeEnvironment();
  const since = at(0);
  const text = render({
    environment: makeEnvironment({
      expiresAt: at(3660),
      flags: {
        ...flags,
        drift: 'drifted',
        driftCheckedAt: at(0),
        lock: { by: 'ana', at: at(0), reason: 'migration' },
      },
    }),
    nodes: [
      node('vpc', {
        drift: 'drifted',
        stateUnverified: { since, deploymentId: 'dep_7', reason: 'the worker died', lockId: null },
      }),
    ],
  });
  expect(text.split('\n')[0]).toBe('shop (Online shop) · active · drifted · locked');
  expect(text).toContain('locked    by ana, 1 min ago: migration');
  expect(text).toContain('ends      in 1 h');
  expect(text).toContain('active   state unverified, drifted, deployed 30 s ago');
});

test('names nodes by their aliases where there is no room for both', () => {
  const long = node('configuration', { name: 'The service that keeps the configuration of all the others' });
  expect(render({ nodes: [node('vpc'), { ...long, needs: ['vpc'] }] })).toContain('└─ ✔ configuration   active');
});
