import { Context } from '@temporalio/activity';
import type { RunActivities } from '../model/index.ts';
import type { StopReason } from '../process/index.ts';
import type { NodeDeps } from './call.ts';
import { forHistory } from './history.ts';
import type { Caller, NodeHost } from './host.ts';
import { runNode } from './run-node.ts';

/** How often Temporal hears that this worker lives; it gives up after 12 s. */
const heartbeatEveryMs = 2000;

/** Who called, as the Temporal server has it: that much cannot be made up by whoever starts a workflow. */
export function callerOf({ info }: Context): Caller {
  const { workflowExecution, activityId, attempt, scheduledTimestampMs, currentAttemptScheduledTimestampMs } = info;
  return {
    workflowId: workflowExecution?.workflowId ?? '',
    callId: `${workflowExecution?.runId ?? ''}/${activityId}`,
    attempt,
    scheduledAtMs: scheduledTimestampMs,
    nowMs: Math.max(Date.now(), currentAttemptScheduledTimestampMs),
  };
}

/** The activity that runs nodes, wherever their records are kept. */
export function createRunActivities(deps: NodeDeps, host: NodeHost): RunActivities {
  return {
    async runNode(input) {
      const context = Context.current();
      const stop = new AbortController();
      const beating = setInterval(() => context.heartbeat(), heartbeatEveryMs);
      context.cancellationSignal.addEventListener('abort', () => stop.abort(stopReason(context)));
      try {
        return await runNode(deps, host, input, { caller: callerOf(context), stop });
      } catch (error) {
        throw forHistory(error, { activity: 'runNode', log: deps.log, isAway: (thrown) => host.isAway(thrown) });
      } finally {
        clearInterval(beating);
      }
    },
  };
}

function stopReason(context: Context): StopReason {
  const why = context.cancellationDetails;
  // The workflow has let go of this call, or this worker leaves: another call will take over, so the tool may go on.
  if (why?.workerShutdown === true || why?.timedOut === true || why?.reset === true || why?.paused === true)
    return 'shutdown';
  return 'abort';
}
