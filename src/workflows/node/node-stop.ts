import { CancellationScope } from '@temporalio/workflow';
import type { StopMode } from '../../model/orchestration.ts';

/** How a node is being stopped, and the scope in which its tool can be interrupted. */
export class NodeStop {
  /** null while nobody has stopped it. */
  mode: StopMode | null = null;
  private readonly interruption = new CancellationScope({ cancellable: true });
  private readonly onlyReads: boolean;

  constructor(onlyReads: boolean) {
    this.onlyReads = onlyReads;
  }

  get requested(): boolean {
    return this.mode !== null;
  }

  request(mode: StopMode): void {
    if (this.mode === null || mode !== 'cancel') this.mode = mode;
    // A cancel lets a tool that changes something come to its end.
    if (mode !== 'cancel' || this.onlyReads) this.interruption.cancel();
  }

  /** An operator has cancelled the workflow in Temporal, which stops the tool like an abort. */
  workflowCancelled(): void {
    this.mode ??= 'abort';
    this.interruption.cancel();
  }

  /** Does what a stop may interrupt. */
  interruptible<T>(work: () => Promise<T>): Promise<T> {
    return this.interruption.run(work);
  }
}
