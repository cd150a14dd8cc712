/** The floor to compare with: Temporal workflows of the same shape that do nothing else. One child and one activity a node. */
import { executeChild, ParentClosePolicy, proxyActivities } from '@temporalio/workflow';

const { noop } = proxyActivities<{ noop(index: number): Promise<string> }>({ startToCloseTimeout: '1 minute' });

export async function bareNode(index: number): Promise<string> {
  return noop(index);
}

export async function bareChain(size: number): Promise<void> {
  for (let index = 0; index < size; index++) await executeChild(bareNode, { args: [index] });
}

export async function bareFanOut(size: number): Promise<void> {
  await executeChild(bareNode, { args: [0] });
  const children = Array.from({ length: size - 1 }, (_, index) =>
    executeChild(bareNode, { args: [index + 1], parentClosePolicy: ParentClosePolicy.TERMINATE }),
  );
  await Promise.all(children);
}
