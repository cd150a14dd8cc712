import { ApplicationFailure } from '@temporalio/workflow';
import type { ActivityFailure } from '@temporalio/workflow';
import type { DeploymentStatus } from '../model/status.ts';
import type { StopMode } from '../model/orchestration.ts';

/** How a run ends that was stopped before anything of it had begun. */
export function endingOf(mode: StopMode): DeploymentStatus {
  return ({ cancel: 'cancelled', abort: 'aborted', rollback: 'rolledBack' } as const)[mode];
}

/** Refuses a request; whoever asked is told why. */
export function refuse(message: string): never {
  throw ApplicationFailure.nonRetryable(message, 'refused');
}

/** Whether an activity has refused what it was called for. */
export function isRefused(error: ActivityFailure): boolean {
  return error.cause instanceof ApplicationFailure && error.cause.type === 'refused';
}
