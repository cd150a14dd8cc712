import type { NodeStatus } from '../model/index.ts';
import { nodeStatuses } from '../model/index.ts';
import { groupStatus } from './index.ts';

it.each<[NodeStatus[], NodeStatus]>([
  [['succeeded', 'waitingForApproval', 'running'], 'waitingForApproval'],
  [['failed', 'running', 'pending'], 'running'],
  [['failed', 'retrying'], 'running'],
  [['succeeded', 'failed', 'skipped'], 'failed'],
  [['succeeded', 'cancelled', 'skipped'], 'cancelled'],
  [['succeeded', 'pending'], 'running'],
  [['pending', 'pending'], 'pending'],
  [['succeeded', 'skipped'], 'succeeded'],
  [['skipped', 'skipped'], 'skipped'],
])('nodes that are %j make a workflow that is %s', (nodes, status) => {
  expect(groupStatus(nodes)).toBe(status);
});

it('does not depend on the order of the nodes, and is that of all when they agree', () => {
  for (const one of nodeStatuses) {
    expect(groupStatus([one, one])).toBe(one === 'retrying' ? 'running' : one);
    for (const other of nodeStatuses) expect(groupStatus([one, other])).toBe(groupStatus([other, one]));
  }
});
