import { workflowInfo } from '@temporalio/workflow';
import type { ScheduleKind } from '../model/orchestration.ts';
import { records } from './proxies.ts';

/** Started by a schedule: asks for the run, which then joins the environment's queue like any other. */
export async function scheduledRequest(input: {
  environmentId: string;
  kind: ScheduleKind;
}): Promise<{ skipped?: string }> {
  // The id of a scheduled run ends with its nominal time, so that a repeated firing is the same request.
  return records.requestScheduled({ ...input, firedAt: workflowInfo().workflowId });
}

/** Compares open records with Temporal and repairs what an operator or an outage left behind. */
export async function reconcile(): Promise<{ repaired: number }> {
  return records.reconcile({ limit: 500 });
}

/** Once a day: removes events, idempotency keys and state grants that have served their time. */
export async function keepHouse(): Promise<{ removed: number }> {
  return records.keepHouse();
}
