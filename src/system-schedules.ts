import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { Logger } from 'pino';
import { messageOf, searchAttributes, taskQueues, workflowIds, workflowTypes } from './model/index.ts';

const scheduleAgainMs = 5000;

const kindKey = defineSearchAttributeKey(searchAttributes.kind, SearchAttributeType.KEYWORD);

/** The engine's own schedules, by the name of their workflow: how often, and how late at most. */
const systemSchedules = {
  reconcile: { every: '1 minute', late: '1 minute', kind: 'reconcile' },
  keepHouse: { every: '1 day', late: '1 day', kind: 'housekeeping' },
} as const;

/** Schedules, so that exactly one process does it, whichever lives. False when one could not be made. */
async function ensureSystemSchedules(client: Client, log: Logger): Promise<boolean> {
  for (const name of ['reconcile', 'keepHouse'] as const) {
    const id = workflowIds[name];
    try {
      await client.schedule.create({
        scheduleId: id,
        spec: { intervals: [{ every: systemSchedules[name].every }] },
        action: {
          type: 'startWorkflow',
          workflowType: workflowTypes[name],
          taskQueue: taskQueues.orchestration,
          args: [],
          workflowId: id,
          typedSearchAttributes: [{ key: kindKey, value: systemSchedules[name].kind }],
        },
        policies: { overlap: 'SKIP', catchupWindow: systemSchedules[name].late },
      });
    } catch (error) {
      if (error instanceof Error && error.name === 'ScheduleAlreadyRunning') continue;
      log.warn(`${id} is not scheduled yet: ${messageOf(error)}`);
      return false;
    }
  }
  return true;
}

/** Makes the schedules now or, when Temporal went away during the start, as soon as it is back or until `signal` is aborted. */
export async function makeSystemSchedules(client: Client, log: Logger, signal: AbortSignal): Promise<void> {
  if (!(await ensureSystemSchedules(client, log))) void retrySystemSchedules(client, log, signal);
}

/** The worker waits for Temporal by itself, and so do the schedules. */
async function retrySystemSchedules(client: Client, log: Logger, signal: AbortSignal): Promise<void> {
  do await delay(scheduleAgainMs, undefined, { signal, ref: false }).catch(() => undefined);
  while (!signal.aborted && !(await ensureSystemSchedules(client, log)));
}
