import {
  getExternalWorkflowHandle,
  ParentClosePolicy,
  rootCause,
  startChild,
  WorkflowIdReusePolicy,
} from '@temporalio/workflow';
import type { NodeResult } from '../../model/deployment.ts';
import type { DeploymentWorkflowInput, NodeWorkflowInput, RunNode, StopMode } from '../../model/orchestration.ts';
import { nodeMessages, taskQueues, workflowIds } from '../../model/orchestration.ts';
import { attributesOfChild } from '../search-attributes.ts';
import type { subEnvironment } from '../node/sub-environment.ts';
import { watchNodes } from '../proxies.ts';

export interface NodeChildrenOptions {
  readonly input: DeploymentWorkflowInput;
  readonly nodes: readonly RunNode[];
  readonly compensation: boolean;
}

/**
 * The open children of a deployment. They are ABANDON, because any other policy would end them when the
 * deployment continues as new; after that they are adopted and watched.
 */
export class NodeChildren {
  /** A child has started, or could not be. */
  onStarted: () => void = () => undefined;
  onSettled: (index: number, result: NodeResult) => void = () => undefined;
  private readonly options: NodeChildrenOptions;
  private readonly open = new Set<number>();
  private readonly attributes = attributesOfChild('subEnvironment');
  private readonly starting = new Set<number>();
  private openSignals = 0;
  private stopMode: StopMode | null = null;

  constructor(options: NodeChildrenOptions) {
    this.options = options;
  }

  /** No child is between asked for and started, or waits for a word that is on its way; only then may the deployment continue as new. */
  get allStarted(): boolean {
    return this.starting.size === 0 && this.openSignals === 0;
  }

  start(index: number): void {
    this.open.add(index);
    void this.run(index).then((result) => this.settle(index, result));
  }

  /** Takes over children that an earlier run of this workflow started. */
  adopt(indexes: readonly number[]): void {
    for (const index of indexes) this.open.add(index);
    if (indexes.length > 0) void this.watch(indexes);
  }

  /** A child that is only just being started cannot be reached yet: it is told as soon as it is there. */
  stopAll(mode: StopMode): void {
    this.stopMode = mode;
    for (const index of this.open) if (!this.starting.has(index)) void this.signal(index, nodeMessages.stop, { mode });
  }

  isOpen(index: number): boolean {
    return this.open.has(index);
  }

  /** Lets a node that waits for somebody to mend something try again. */
  resume(index: number): void {
    void this.signal(index, nodeMessages.resume);
  }

  /** Lets a node go on that has asked for a place. */
  proceed(index: number): void {
    this.openSignals++;
    void this.signal(index, nodeMessages.proceed).finally(() => {
      this.openSignals--;
      this.onStarted();
    });
  }

  private signal(index: number, name: string, ...args: unknown[]): Promise<void> {
    // A child that has just ended cannot be told any more, and need not be.
    return getExternalWorkflowHandle(this.workflowId(index))
      .signal(name, ...args)
      .catch(() => undefined);
  }

  private workflowId(index: number): string {
    return workflowIds.node(this.options.input.deploymentId, this.node(index).alias, this.options.compensation);
  }

  private node(index: number): RunNode {
    const node = this.options.nodes[index];
    if (node === undefined) throw new RangeError(`the run has no node ${index}`);
    return node;
  }

  private async run(index: number): Promise<NodeResult> {
    const node = this.node(index);
    const args: NodeWorkflowInput = {
      deploymentId: this.options.input.deploymentId,
      environmentId: this.options.input.environmentId,
      alias: node.alias,
      index,
      action: node.action,
      showsStatus: true,
      ...(this.options.compensation ? { compensation: true as const } : {}),
      ...(node.timeoutSeconds === undefined ? {} : { timeoutSeconds: node.timeoutSeconds }),
      ...(node.taskQueue === undefined ? {} : { taskQueue: node.taskQueue }),
    };
    this.starting.add(index);
    try {
      const child = await startChild<typeof subEnvironment>('subEnvironment', {
        workflowId: this.workflowId(index),
        args: [args],
        taskQueue: taskQueues.orchestration,
        parentClosePolicy: ParentClosePolicy.ABANDON,
        workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
        typedSearchAttributes: this.attributes,
        staticSummary: `${node.action} ${node.alias}`,
      }).finally(() => {
        this.starting.delete(index);
        this.onStarted();
      });
      if (this.stopMode !== null) void this.signal(index, nodeMessages.stop, { mode: this.stopMode });
      return await child.result();
    } catch (error) {
      // Ended from outside (terminated by an operator), or not startable: the node's own record says how far it came.
      return {
        status: 'failed',
        class: 'internal',
        message: rootCause(error) ?? 'its workflow ended from outside',
        changedState: true,
      };
    }
  }

  private async watch(indexes: readonly number[]): Promise<void> {
    let rest = indexes;
    while (rest.length > 0) {
      const ended = await watchNodes({
        deploymentId: this.options.input.deploymentId,
        indexes: rest,
        ...(this.options.compensation ? { compensation: true as const } : {}),
      });
      for (const { index, result } of ended) this.settle(index, result);
      rest = rest.filter((index) => this.open.has(index));
    }
  }

  private settle(index: number, result: NodeResult): void {
    if (!this.open.delete(index)) return;
    this.onSettled(index, result);
  }
}
