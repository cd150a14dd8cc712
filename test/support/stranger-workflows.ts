/** What somebody without a key may start on a Temporal that he reaches: a workflow of his own that calls our activities. */
import { proxyActivities } from '@temporalio/workflow';

export async function callActivity(what: { queue: string; activity: string; input: unknown }): Promise<unknown> {
  const activities = proxyActivities<Record<string, (input: unknown) => Promise<unknown>>>({
    taskQueue: what.queue,
    startToCloseTimeout: '1 minute',
    retry: { maximumAttempts: 1 },
  });
  return activities[what.activity]?.(what.input);
}
