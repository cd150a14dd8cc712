import { condition } from '@temporalio/workflow';

/**
 * Resolves when whatever came together with an update has been taken in. After a crash, a worker sees the ends of children
 * that an earlier task had brought in one step with the update, and before it when it replays the same history later. An
 * update must therefore not act on which children are open, or on what they brought, before all of them have been heard.
 */
export async function pendingMessagesProcessed(): Promise<void> {
  // Conditions are looked at after each piece of news and then, until nothing moves any more, after all of them: the first
  // wait ends once all news has come in, the second once everybody has acted on it.
  for (let wait = 0; wait < 2; wait++) {
    let looks = 0;
    await condition(() => looks++ > 0);
  }
}
