/** Runs of a few nodes, whose deployment workflow and node workflows are the real ones. */
import type { WorkflowHandle } from '@temporalio/client';
import { newId, taskQueues, workflowIds, workflowTypes } from '../../model/index.ts';
import type {
  ControlMessage,
  ControlRequest,
  DeploymentOutcome,
  DeploymentWorkflowInput,
  RunNode,
} from '../../model/index.ts';
import { deploymentMessages } from '../../model/index.ts';
import { makeRun } from '../fake-records.test-support.ts';
import type { FakeRun } from '../fake-records.test-support.ts';
import { newRunId } from '../workflows.test-support.ts';
import type { TestWorkflows } from '../workflows.test-support.ts';

/** `db: ['vpc']`: what each node needs. */
export type Needs = Readonly<Record<string, readonly string[]>>;

export function nodesOf(needs: Needs, more: Readonly<Record<string, Partial<RunNode>>> = {}): RunNode[] {
  const aliases = Object.keys(needs);
  return aliases.map((alias) => ({
    alias,
    needs: (needs[alias] ?? []).map((need) => aliases.indexOf(need)),
    action: 'deploy',
    ...more[alias],
  }));
}

export interface StartedRun {
  readonly records: FakeRun;
  readonly handle: WorkflowHandle;
  /** The result, without a moment of the server's time passing for it. */
  ended(): Promise<DeploymentOutcome>;
  /** The same, with all waits skipped. */
  skippedToEnd(): Promise<DeploymentOutcome>;
  /** Records a request and tells the run of it, as the API does. Answers why it was refused, or null. */
  ask(request: Ask): Promise<string | null>;
  /** `alias` of each call so far, with the mode where it is not `run`; those that take something back as `-alias`. */
  called(): string[];
  /** Last update that was recorded of a node without a tool. */
  updateOf(alias: string): string | undefined;
  nodeHandle(alias: string): WorkflowHandle;
}

type Ask = ControlRequest extends infer R ? (R extends unknown ? Omit<R, 'by'> : never) : never;

export async function startRun(
  workflows: TestWorkflows,
  nodes: readonly RunNode[],
  more: Parameters<typeof makeRun>[2] = {},
): Promise<StartedRun> {
  const records = makeRun(newRunId(), nodes, more);
  workflows.add(records);
  const { environmentId, projectId, title, type } = records.resolved;
  const input: DeploymentWorkflowInput = { deploymentId: records.id, environmentId, projectId, title, type };
  const handle = await workflows.client().workflow.start(workflowTypes.deployment, {
    workflowId: workflowIds.deployment(records.id),
    taskQueue: taskQueues.orchestration,
    args: [input],
  });
  return {
    records,
    handle,
    ended: () => handle.result() as Promise<DeploymentOutcome>,
    skippedToEnd: () => workflows.resultOf<DeploymentOutcome>(handle),
    async ask(asked) {
      const request = { ...asked, by: 'bob' } as ControlRequest;
      const requestId = newId('req');
      records.requests.set(requestId, request);
      return handle
        .executeUpdate<void, [ControlMessage]>(deploymentMessages.control, { args: [{ ...request, requestId }] })
        .then(
          () => null,
          (error: Error) => (error.cause instanceof Error ? error.cause.message : error.message),
        );
    },
    called: () =>
      records.calls.map(({ alias, mode, compensation }) =>
        [compensation === true ? `-${alias}` : alias, ...(mode === 'run' ? [] : [mode])].join(' '),
      ),
    updateOf(alias) {
      const index = nodes.findIndex((node) => node.alias === alias);
      return records.updates.filter((update) => update.index === index).at(-1)?.status;
    },
    nodeHandle: (alias) => workflows.client().workflow.getHandle(workflowIds.node(records.id, alias)),
  };
}
