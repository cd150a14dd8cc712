import {
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  WithStartWorkflowOperation,
  WorkflowNotFoundError,
} from '@temporalio/client';
import type { Client, ScheduleOptions } from '@temporalio/client';
import { SearchAttributeType, TypedSearchAttributes, defineSearchAttributeKey } from '@temporalio/common';
import {
  deploymentMessages,
  environmentMessages,
  nodeMessages,
  searchAttributes,
  taskQueues,
  workflowIds,
  workflowTypes,
} from '../model/index.ts';
import type {
  ControlRequest,
  Decision,
  EnvironmentLock,
  EnvironmentView,
  EnvironmentWorkflowInput,
  QueuedRun,
  ScheduleKind,
  SubmitAnswer,
} from '../model/index.ts';
import { fromTemporal } from './temporal-errors.ts';
import type { EntityTarget, ScheduleInput, ScheduleView, TemporalGateway } from './temporal-gateway.ts';

export interface TemporalGatewayOptions {
  readonly namespace: string;
  /** Base address of the Temporal Web UI; links are left out when absent. */
  readonly uiUrl?: string | null;
  /** Ceiling of each call. Default 10,000. */
  readonly deadlineMs?: number;
}

const environmentKey = defineSearchAttributeKey(searchAttributes.environment, SearchAttributeType.KEYWORD);
const projectKey = defineSearchAttributeKey(searchAttributes.project, SearchAttributeType.KEYWORD);
const kindKey = defineSearchAttributeKey(searchAttributes.kind, SearchAttributeType.KEYWORD);

function attributes(of: { environmentId: string; projectId: string; kind: string }): TypedSearchAttributes {
  return new TypedSearchAttributes([
    { key: environmentKey, value: of.environmentId },
    { key: projectKey, value: of.projectId },
    { key: kindKey, value: of.kind },
  ]);
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
    typedSearchAttributes: attributes({ environmentId: target.id, projectId: target.projectId, kind: 'environment' }),
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
      typedSearchAttributes: attributes({ environmentId, projectId, kind: 'scheduledRequest' }),
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

  return {
    async submit(target: EntityTarget, run: QueuedRun): Promise<SubmitAnswer> {
      return call(`Environment "${target.name}"`, async () =>
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
      );
    },

    async cancelQueued(environmentId: string, deploymentId: string): Promise<boolean> {
      const answer = await callOpen(`Deployment ${deploymentId}`, async () =>
        entity(environmentId).executeUpdate<{ cancelled: boolean }, [{ deploymentId: string }]>(
          environmentMessages.cancelQueued,
          {
            args: [{ deploymentId }],
          },
        ),
      );
      return answer?.cancelled ?? false;
    },

    async setExpiry(target: EntityTarget, expiresAtMs: number | null): Promise<void> {
      const what = `Environment "${target.name}"`;
      if (expiresAtMs === null) {
        await callOpen(what, async () =>
          entity(target.id).executeUpdate<void, [{ expiresAtMs: null }]>(environmentMessages.setExpiry, {
            args: [{ expiresAtMs }],
          }),
        );
        return;
      }
      await call(what, async () =>
        client.workflow.executeUpdateWithStart<
          (input: EnvironmentWorkflowInput) => Promise<void>,
          void,
          [{ expiresAtMs: number }]
        >(environmentMessages.setExpiry, { args: [{ expiresAtMs }], startWorkflowOperation: startEntity(target) }),
      );
    },

    async setLock(environmentId: string, lock: EnvironmentLock | null): Promise<void> {
      // Without a workflow there is no queue to guard; requests read the recorded lock first.
      await callOpen(`Environment ${environmentId}`, async () =>
        entity(environmentId).executeUpdate<void, [{ lock: EnvironmentLock | null }]>(environmentMessages.setLock, {
          args: [{ lock }],
        }),
      );
    },

    async control(deploymentId: string, request: ControlRequest): Promise<void> {
      await call(`Deployment ${deploymentId}`, async () =>
        client.workflow
          .getHandle(workflowIds.deployment(deploymentId))
          .executeUpdate<void, [ControlRequest]>(deploymentMessages.control, { args: [request] }),
      );
    },

    async decide(node, decision: Decision): Promise<void> {
      await call(`The wait of "${node.alias}" for a decision`, async () =>
        client.workflow
          .getHandle(workflowIds.node(node.deploymentId, node.alias, node.compensation))
          .executeUpdate<void, [Decision]>(nodeMessages.decide, { args: [decision] }),
      );
    },

    async view(environmentId: string): Promise<EnvironmentView | null> {
      return callOpen(`Environment ${environmentId}`, async () => {
        // A workflow that was terminated still answers queries, with the queue that it will never work off.
        const { status } = await entity(environmentId).describe();
        return status.name === 'RUNNING'
          ? entity(environmentId).query<EnvironmentView>(environmentMessages.view)
          : null;
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

    async check(): Promise<void> {
      await call('Temporal', async () => client.workflowService.describeNamespace({ namespace: options.namespace }));
    },

    deploymentUrl(deploymentId: string): string | null {
      if (uiUrl === null) return null;
      return `${uiUrl}/namespaces/${encodeURIComponent(options.namespace)}/workflows/${encodeURIComponent(workflowIds.deployment(deploymentId))}`;
    },
  };
}
