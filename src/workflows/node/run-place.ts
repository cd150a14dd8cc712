import { condition, getExternalWorkflowHandle, patched } from '@temporalio/workflow';
import type { NodeWorkflowInput, PlaceNews } from '../../model/orchestration.ts';
import { deploymentMessages, workflowIds } from '../../model/orchestration.ts';
import type { NodeStop } from './node-stop.ts';

/** The node's place among those that its run lets work at once. */
export class RunPlace {
  private readonly input: NodeWorkflowInput;
  private readonly stop: NodeStop;
  private admitted = false;

  constructor(input: NodeWorkflowInput, stop: NodeStop) {
    this.input = input;
    this.stop = stop;
  }

  /** The run has given a place. */
  admit(): void {
    this.admitted = true;
  }

  /** Gives the place to others during a wait, and takes one again unless the wait has ended the node. */
  async freeDuring<T>(wait: () => Promise<T>, continues: (answer: T) => boolean = () => true): Promise<T> {
    if (!patched('places')) return wait();
    this.admitted = false;
    const signalled = this.signal('free');
    const answer = await wait();
    // Sent before all else, so that no late word of this wait is taken for one of a later call.
    if ((await signalled) && !this.stop.requested && continues(answer) && (await this.signal('wanted')))
      await condition(() => this.admitted || this.stop.requested);
    return answer;
  }

  /** Whether the run could be told: one that is gone has no places to give. */
  private signal(place: PlaceNews['place']): Promise<boolean> {
    const { index, compensation, deploymentId } = this.input;
    const news: PlaceNews = { index, place, ...(compensation === true ? { compensation } : {}) };
    return getExternalWorkflowHandle(workflowIds.deployment(deploymentId))
      .signal(deploymentMessages.place, news)
      .then(
        () => true,
        () => false,
      );
  }
}
