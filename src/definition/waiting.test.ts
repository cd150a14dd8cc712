import type { NodeRun } from '../model/index.ts';
import { retryText, waitingTexts } from './waiting.ts';

const run = { type: 'deploy' as const, status: 'running' as const, paused: false, maxParallel: 2 };
type Node = Parameters<typeof waitingTexts>[1][number];
const node = (index: number, status: NodeRun['status'], more: Partial<Node> = {}): Node => ({
  index,
  alias: `n${index}`,
  action: 'deploy',
  status,
  needs: [],
  compensation: false,
  approvalId: null,
  ...more,
});
const full = [node(0, 'running'), node(1, 'running')];

test.each([
  ['a node that waits for a place', full, node(2, 'pending'), 'waits for a place: 2 of 2 are running'],
  [
    'one that was approved meanwhile',
    full,
    node(2, 'waitingForApproval'),
    'approved, waits for a place: 2 of 2 are running',
  ],
  ['one that has a place and no worker yet', [node(0, 'running')], node(2, 'pending'), 'waits for a free worker'],
  ['a removed node', full, node(2, 'pending', { action: 'destroy' }), 'waits until all deploys have succeeded'],
  ['one that waits for another node', full, node(2, 'pending', { needs: ['n0'] }), undefined],
  ['one that waits for a decision', full, node(2, 'waitingForApproval', { approvalId: 'apr_1' }), undefined],
  ['one that is kept', full, node(2, 'pending', { action: 'keep' }), undefined],
])('says of %s what it waits for', (_, others, asked, text) => {
  expect(waitingTexts(run, [...others, asked]).get(2)).toBe(text);
});

test('says that a paused run is paused, and nothing of one that is over', () => {
  const nodes = [node(2, 'pending')];
  expect(waitingTexts({ ...run, paused: true }, nodes).get(2)).toBe('waits, because the run is paused');
  expect(waitingTexts({ ...run, status: 'stopping' }, nodes).size).toBe(0);
});

const until = '2026-03-01T12:00:30.000Z';
const lock = { by: 'deploy 12 of shop', since: '2026-03-01T11:58:00.000Z' };
const account = 'the account AWS_PROFILE=prod';
const locked = { class: 'lock' as const, message: 'state locked' };
const throttled = { class: 'quota' as const, message: 'Throttling' };

test.each([
  [
    'its account',
    throttled,
    { until, account, lock: null },
    'waits until 2026-03-01 12:00:30 UTC: the account AWS_PROFILE=prod asked for slower calls',
  ],
  [
    'the lock of its state',
    locked,
    { until, account: null, lock },
    'its state is locked by deploy 12 of shop since 2026-03-01 11:58:00 UTC, tries again at 2026-03-01 12:00:30 UTC',
  ],
  ['a lock that is free again', locked, { until, account: null, lock: null }, null],
  [
    'nobody, when it has failed by itself while another held the lock',
    { ...throttled, class: 'tool' as const },
    { until, account: null, lock },
    null,
  ],
  ['nobody, in records from before', throttled, null, null],
])('says that a node which tries again waits for %s', (_, error, wait, text) => {
  expect(retryText({ status: 'retrying', error, wait })).toBe(text);
  expect(retryText({ status: 'running', error, wait })).toBeNull();
});
