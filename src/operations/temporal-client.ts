import {
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  WithStartWorkflowOperation,
  WorkflowNotFoundError,
} from '@temporalio/client';
import type { Client, ScheduleOptions } from '@temporalio/client';
import { SearchAttributeType, TypedSearchAttributes, defineSearchAttributeKey } from '@temporalio/common';
import {
  WindlassError,
  deploymentMessages,
  environmentMessages,
  nodeMessages,
  searchAttributes,
  taskQueues,
  workflowIds,
  workflowTypes,
} from '../model/index.ts';
import type {
  CancelQueued,
  ControlMessage,
  Decision,
  EnvironmentView,
  EnvironmentWorkflowInput,
  QueuedRun,
  ScheduleKind,
  SubmitAnswer,
  WorkflowKind,
} from '../model/index.ts';
import { findStranded } from './stranded.ts';
import type { Stranded } from './stranded.ts';
import { fromTemporal, otherVersion } from './temporal-errors.ts';
import type { EntityTarget, ScheduleInput, ScheduleView, TemporalGateway } from './temporal-gateway.ts';

export interface TemporalGatewayOptions {
  readonly namespace: string;
  /** Base address of the Temporal Web UI; links are left out when absent. */
  readonly uiUrl?: string | null;
  /** Ceiling of each call. Default 10,000. */
  readonly deadlineMs?: number;
}

/** TASK_QUEUE_TYPE_ACTIVITY of Temporal's API. */
const activityQueue = 2;
const environmentKey = defineSearchAttributeKey(searchAttributes.environment, SearchAttributeType.KEYWORD);
const projectKey = defineSearchAttributeKey(searchAttributes.project, SearchAttributeType.KEYWORD);
const kindKey = defineSearchAttributeKey(searchAttributes.kind, SearchAttributeType.KEYWORD);
const statusKey = defineSearchAttributeKey(searchAttributes.status, SearchAttributeType.KEYWORD);

function attributes(of: {
  environmentId: string;
  projectId: string;
  kind: WorkflowKind;
  status?: string;
}): TypedSearchAttributes {
  return new TypedSearchAttributes([
    { key: environmentKey, value: of.environmentId },
    { key: projectKey, value: of.projectId },
    { key: kindKey, value: of.kind },
    ...(of.status === undefined ? [] : [{ key: statusKey, value: of.status }]),
  ]);
}

/** For a look at what keeps a call waiting. */
const lookDeadlineMs = 2000;

function isUnavailable(thrown: unknown): boolean {
  return thrown instanceof WindlassError && thrown.code === 'unavailable';
}

/** A new operation each time: the SDK lets one be used once. */
function startEntity(
  target: EntityTarget,
): WithStartWorkflowOperation<(input: EnvironmentWorkflowInput) => Promise<void>> {
  const carries = target.lock !== null || target.expiresAtMs !== null;
  const input: EnvironmentWorkflowInput = {
    environmentId: target.id,
    projectId: target.projectId,
    name: target.name,
    // An entity that somebody ended outside of Windlass comes back with its lock and its time to live.
    ...(carries
      ? { state: { queue: [], lock: target.lock, expiresAtMs: target.expiresAtMs, warnedMs: [], accepted: [] } }
      : {}),
  };
  return new WithStartWorkflowOperation(workflowTypes.environment, {
    workflowId: workflowIds.environment(target.id),
    taskQueue: taskQueues.orchestration,
    workflowIdConflictPolicy: 'USE_EXISTING',
    args: [input],
    typedSearchAttributes: attributes({
      environmentId: target.id,
      projectId: target.projectId,
      kind: 'environment',
      status: 'idle',
    }),
    staticSummary: `Environment "${target.name}"`,
    staticDetails: `Queue, lock and time to live of environment \`${target.id}\`. Each run is a workflow of its own: \`deployment:<id>\`.`,
  });
}

function scheduleOptions(input: ScheduleInput): ScheduleOptions {
  const { kind, environmentId, environmentName, projectId } = input;
  return {
    scheduleId: workflowIds.schedule(kind, environmentId),
    spec: { cronExpressions: [input.cron], timezone: input.timezone },
    action: {
      type: 'startWorkflow',
      workflowType: workflowTypes.scheduledRequest,
      workflowId: `scheduled:${kind}:${environmentId}`,
      taskQueue: taskQueues.orchestration,
      args: [{ environmentId, kind }],
      typedSearchAttributes: attributes({ environmentId, projectId, kind: 'scheduled' }),
      staticSummary: `Scheduled ${kind} of "${environmentName}"`,
    },
    policies: { overlap: 'SKIP', catchupWindow: input.catchUpSeconds * 1000 },
    state: { paused: input.paused },
    typedSearchAttributes: attributes({ environmentId, projectId, kind: 'schedule' }),
  };
}

/** The gateway to a real Temporal. The client is shared and stays the caller's to close. */
export function createTemporalGateway(client: Client, options: TemporalGatewayOptions): TemporalGateway {
  const deadlineMs = options.deadlineMs ?? 10_000;
  const uiUrl = options.uiUrl?.replace(/\/+$/, '') ?? null;

  async function call<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await client.withDeadline(Date.now() + deadlineMs, work);
    } catch (thrown) {
      throw fromTemporal(thrown, what);
    }
  }

  /** Answers null when there is no open workflow of that id. */
  async function callOpen<T>(what: string, work: () => Promise<T>): Promise<T | null> {
    return call(what, async () => {
      try {
        return await work();
      } catch (thrown) {
        if (thrown instanceof WorkflowNotFoundError) return null;
        throw thrown;
      }
    });
  }

  const entity = (environmentId: string) => client.workflow.getHandle(workflowIds.environment(environmentId));

  /** Looks quickly: this comes after a call that has waited already. */
  async function strandedNow(workflowId: string): Promise<Stranded | null> {
    return client
      .withDeadline(Date.now() + lookDeadlineMs, async () => findStranded(client, workflowId))
      .catch(() => null);
  }

  /**
   * Ends the workflow of an environment that another version of Windlass began and this one cannot follow: all it knows is
   * on record, and its next message starts a new one. Throws while a run of it is open, which would end with it. False when
   * the workflow is well.
   */
  async function endStranded(what: string, environmentId: string): Promise<boolean> {
    const stranded = await strandedNow(workflowIds.environment(environmentId));
    if (stranded === null) return false;
    // Not a refusal: what is asked of it now stays on record and is sent again.
    if (stranded.openChildren > 0)
      throw otherVersion(what, 'unavailable', 'it can be asked again once the run in progress is over; or abort that');
    await callOpen(what, async () =>
      client.workflow
        .getHandle(workflowIds.environment(environmentId), stranded.runId)
        .terminate(`replaced, since this version of Windlass cannot follow it: ${stranded.reason}`),
    );
    return true;
  }

  /** A message to an environment's workflow. One that cannot take it any more is replaced first. */
  async function callEntity<T>(what: string, environmentId: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (thrown) {
      if (!isUnavailable(thrown) || !(await endStranded(what, environmentId))) throw thrown;
      return work();
    }
  }

  /** The same for one that is only told what it should know if it is there; null when it is not. */
  async function messageIfOpen<T>(environmentId: string, message: string, content: object): Promise<T | null> {
    const what = `Environment ${environmentId}`;
    return callEntity(what, environmentId, async () =>
      callOpen(what, async () => entity(environmentId).executeUpdate<T, [object]>(message, { args: [content] })),
    );
  }

  /** A message to the workflow of a run or of a node. */
  async function callRun(
    what: string,
    workflowId: string,
    work: () => Promise<unknown>,
    otherwise?: (stranded: Stranded) => Promise<unknown>,
  ): Promise<void> {
    try {
      await call(what, work);
    } catch (thrown) {
      const stranded = isUnavailable(thrown) ? await strandedNow(workflowId) : null;
      if (stranded === null) throw thrown;
      if (otherwise === undefined)
        throw otherVersion(
          what,
          'conflict',
          'go back to that version until the run has ended, or abort it: windlass abort',
        );
      await callOpen(what, async () => otherwise(stranded));
    }
  }

  return {
    async submit(target: EntityTarget, run: QueuedRun): Promise<SubmitAnswer> {
      const what = `Environment "${target.name}"`;
      return callEntity(what, target.id, async () =>
        call(what, async () =>
          client.workflow.executeUpdateWithStart<
            (input: EnvironmentWorkflowInput) => Promise<void>,
            SubmitAnswer,
            [QueuedRun]
          >(environmentMessages.submit, {
            // Without an id of our own: Temporal would answer with what a workflow that has ended since had said, and
            // start none. The workflow itself recognizes a run that comes again.
            args: [run],
            startWorkflowOperation: startEntity(target),
          }),
        ),
      );
    },

    async cancelQueued(environmentId: string, message: CancelQueued): Promise<boolean> {
      const answer = await messageIfOpen<{ cancelled: boolean }>(
        environmentId,
        environmentMessages.cancelQueued,
        message,
      );
      return answer?.cancelled ?? false;
    },

    async expiryChanged(target: EntityTarget): Promise<void> {
      if (target.expiresAtMs === null && target.nodesExpire !== true) {
        await messageIfOpen<void>(target.id, environmentMessages.setExpiry, {});
        return;
      }
      const what = `Environment "${target.name}"`;
      await callEntity(what, target.id, async () =>
        call(what, async () =>
          client.workflow.executeUpdateWithStart<
            (input: EnvironmentWorkflowInput) => Promise<void>,
            void,
            [Record<string, never>]
          >(environmentMessages.setExpiry, { args: [{}], startWorkflowOperation: startEntity(target) }),
        ),
      );
    },

    async lockChanged(environmentId: string): Promise<void> {
      // Without a workflow there is no queue to guard; requests read the recorded lock first.
      await messageIfOpen<void>(environmentId, environmentMessages.setLock, {});
    },

    async control(deploymentId: string, message: ControlMessage): Promise<void> {
      const workflowId = workflowIds.deployment(deploymentId);
      await callRun(
        `Deployment ${deploymentId}`,
        workflowId,
        async () =>
          client.workflow
            .getHandle(workflowId)
            .executeUpdate<void, [ControlMessage]>(deploymentMessages.control, { args: [message] }),
        // Its record is closed and its tools are stopped as those of any run that was ended outside.
        message.kind === 'abort'
          ? async ({ runId, reason }) =>
              client.workflow.getHandle(workflowId, runId).terminate(`aborted by ${message.by}: ${reason}`)
          : undefined,
      );
    },

    async decide(node, decision: Decision): Promise<void> {
      const workflowId = workflowIds.node(node.deploymentId, node.alias, node.compensation);
      await callRun(`The wait of "${node.alias}" for a decision`, workflowId, async () =>
        client.workflow
          .getHandle(workflowId)
          .executeUpdate<void, [Decision]>(nodeMessages.decide, { args: [decision] }),
      );
    },

    async view(environmentId: string): Promise<EnvironmentView | null> {
      const what = `Environment ${environmentId}`;
      return callOpen(what, async () => {
        // A workflow that was terminated still answers queries, with the queue that it will never work off.
        const { status, raw } = await entity(environmentId).describe();
        if (status.name !== 'RUNNING') return null;
        // One that is stranded would keep a query waiting.
        const failing = (raw.pendingWorkflowTask?.attempt ?? 0) > 1;
        if (failing && (await endStranded(what, environmentId))) return null;
        return entity(environmentId).query<EnvironmentView>(environmentMessages.view);
      });
    },

    async putSchedule(input: ScheduleInput): Promise<void> {
      const { scheduleId, ...rest } = scheduleOptions(input);
      await call(`The ${input.kind} schedule of "${input.environmentName}"`, async () => {
        try {
          await client.schedule.create({ scheduleId, ...rest });
        } catch (thrown) {
          if (!(thrown instanceof ScheduleAlreadyRunning)) throw thrown;
          const { memo: _memo, ...changes } = rest;
          await client.schedule.getHandle(scheduleId).update(() => ({ ...changes, state: { paused: input.paused } }));
        }
      });
    },

    async deleteSchedule(kind: ScheduleKind, environmentId: string): Promise<void> {
      await call(`The ${kind} schedule`, async () => {
        try {
          await client.schedule.getHandle(workflowIds.schedule(kind, environmentId)).delete();
        } catch (thrown) {
          if (!(thrown instanceof ScheduleNotFoundError)) throw thrown;
        }
      });
    },

    async describeSchedule(kind: ScheduleKind, environmentId: string): Promise<ScheduleView | null> {
      return call(`The ${kind} schedule`, async () => {
        try {
          const { info, state } = await client.schedule.getHandle(workflowIds.schedule(kind, environmentId)).describe();
          return {
            nextRuns: info.nextActionTimes,
            paused: state.paused,
            missed: info.numActionsMissedCatchupWindow,
          };
        } catch (thrown) {
          if (thrown instanceof ScheduleNotFoundError) return null;
          throw thrown;
        }
      });
    },

    async backlog(taskQueue: string): Promise<number | null> {
      try {
        const { stats } = await client.workflowService.describeTaskQueue({
          namespace: options.namespace,
          taskQueue: { name: taskQueue },
          taskQueueType: activityQueue,
          reportStats: true,
        });
        return Number(stats?.approximateBacklogCount ?? 0);
      } catch {
        return null;
      }
    },

    async check(): Promise<void> {
      await call('Temporal', async () => client.workflowService.describeNamespace({ namespace: options.namespace }));
    },

    deploymentUrl(deploymentId: string): string | null {
      if (uiUrl === null) return null;
      return `${uiUrl}/namespaces/${encodeURIComponent(options.namespace)}/workflows/${encodeURIComponent(workflowIds.deployment(deploymentId))}`;
    },
  };
}
