import type { NodeTally } from './environment-status.ts';
import { workflowStatus } from './environment-status.ts';

const none: NodeTally = { total: 3, active: 0, failed: 0, destroyed: 0, unwanted: 0 };

test.each<[string, Partial<NodeTally>, boolean, string]>([
  ['active when all nodes are deployed', { active: 3 }, false, 'active'],
  ['active when only nodes that the file does not want are not deployed', { active: 2, unwanted: 1 }, false, 'active'],
  ['inactive when all nodes are destroyed', { destroyed: 3 }, false, 'inactive'],
  ['inactive when those that ever were are destroyed', { destroyed: 1 }, false, 'inactive'],
  ['never deployed when nothing ever was', {}, false, 'neverDeployed'],
  ['partly deployed when one node was destroyed', { active: 2, destroyed: 1 }, false, 'partlyDeployed'],
  ['partly deployed when some were never deployed', { active: 2 }, false, 'partlyDeployed'],
  ['failed when a node is half-made', { active: 2, failed: 1 }, false, 'failed'],
  ['failed when a node failed, although what it was stands', { active: 3 }, true, 'failed'],
])('a graph is %s', (_, nodes, failedNow, status) => {
  expect(workflowStatus({ ...none, ...nodes }, failedNow)).toBe(status);
});
