import { ApplicationFailure, defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';
import type {
  CancelQueued,
  EnvironmentView,
  EnvironmentWorkflowInput,
  LifeMessage,
  QueuedRun,
  SubmitAnswer,
} from '../../model/environment-messages.ts';
import { environmentMessages } from '../../model/environment-messages.ts';
import { pendingMessagesProcessed } from '../pending-messages.ts';
import { EnvironmentEntity } from './entity.ts';

const submitUpdate = defineUpdate<SubmitAnswer, [QueuedRun]>(environmentMessages.submit);
const cancelQueuedUpdate = defineUpdate<{ cancelled: boolean }, [CancelQueued]>(environmentMessages.cancelQueued);
const setExpiryUpdate = defineUpdate<void, [LifeMessage]>(environmentMessages.setExpiry);
const setLockUpdate = defineUpdate<void, [LifeMessage]>(environmentMessages.setLock);
const viewQuery = defineQuery<EnvironmentView>(environmentMessages.view);

/**
 * One environment, as long as it lives: its queue, its lock and its end. Runs that change something go one at a time;
 * plans and drift checks run beside them and are stopped when such a run begins.
 */
export async function environment(input: EnvironmentWorkflowInput): Promise<void> {
  const entity = new EnvironmentEntity(input);
  const afterAll = async <T>(act: () => T | Promise<T>): Promise<T> => {
    await pendingMessagesProcessed();
    return act();
  };
  setHandler(submitUpdate, (run) => afterAll(() => entity.submit(run)), {
    validator: (run) => {
      const refusal = entity.submitRefusal(run);
      if (refusal !== null) throw ApplicationFailure.nonRetryable(refusal, 'locked');
    },
  });
  setHandler(cancelQueuedUpdate, (message) => afterAll(() => entity.cancelQueued(message)));
  setHandler(setExpiryUpdate, (message) => afterAll(() => entity.lifeChanged(message)));
  setHandler(setLockUpdate, (message) => afterAll(() => entity.lifeChanged(message)));
  setHandler(viewQuery, () => entity.view());
  await entity.live();
}
