import { ApplicationFailure, CancellationScope, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import type { NodeResult } from '../../model/deployment.ts';
import type { Decision, NodeWorkflowInput, StopMode } from '../../model/orchestration.ts';
import { nodeMessages } from '../../model/orchestration.ts';
import { NodeEntity } from './entity.ts';

const decideUpdate = defineUpdate<void, [Decision]>(nodeMessages.decide);
const stopSignal = defineSignal<[{ mode: StopMode }]>(nodeMessages.stop);
const resumeSignal = defineSignal(nodeMessages.resume);
const proceedSignal = defineSignal(nodeMessages.proceed);

/**
 * One node of one run. Calls the tool activity until it has an ending, and waits in between for what the activity
 * asks for: a decision, a pause before the next try, or a person who mends something.
 */
export async function subEnvironment(input: NodeWorkflowInput): Promise<NodeResult> {
  const node = new NodeEntity(input);
  setHandler(stopSignal, ({ mode }) => node.stopSaid(mode));
  setHandler(resumeSignal, () => node.resume());
  setHandler(proceedSignal, () => node.proceed());
  setHandler(decideUpdate, (made) => node.decide(made), {
    validator: (made) => {
      const refusal = node.decisionRefusal(made);
      if (refusal !== null) throw ApplicationFailure.nonRetryable(refusal, 'notWaiting');
    },
  });
  // The rest of the workflow still runs to its end.
  void CancellationScope.current().cancelRequested.catch(() => node.workflowCancelled());
  const result = await node.run();
  node.show(result.status);
  return result;
}
