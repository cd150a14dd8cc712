import { patched } from '@temporalio/workflow';
import {
  destroyEnded,
  destroyRefused,
  destroyScheduled,
  destroyToWithdraw,
  destroyWithdrawn,
  expiryMoved,
  expiryStep,
  expiryUnblocked,
  isDestroy,
  restoredExpiry,
  savedExpiry,
} from '../../definition/expiry.ts';
import type { Expiry, ExpiryDestroy, SavedExpiry } from '../../definition/expiry.ts';
import type { DropCause, QueuedRun } from '../../model/environment-messages.ts';
import { records } from '../proxies.ts';

/** Why a run is taken out of the queue: for people, and for the records. */
export interface Drop {
  readonly message: string;
  readonly cause: DropCause;
}

export const endPostponed: Drop = { message: 'its time to live was put off', cause: { kind: 'putOff' } };

/** What the queue does for the ends of an environment and its nodes. */
export interface Runs {
  submit(run: QueuedRun): Promise<unknown>;
  drop(deploymentId: string, why: Drop): Promise<unknown>;
  /** Something has changed: what is to be done is looked at again. */
  wake(): void;
}

/** Carries out what the state of the end (`definition/expiry.ts`) asks for. */
export class ExpiryFollower {
  private readonly environmentId: string;
  private readonly runs: Runs;
  private expiry: Expiry;

  constructor(environmentId: string, saved: SavedExpiry | undefined, runs: Runs) {
    this.environmentId = environmentId;
    this.expiry = restoredExpiry(saved);
    this.runs = runs;
  }

  get expiresAtMs(): number | null {
    return this.expiry.expiresAtMs;
  }

  state(): Required<SavedExpiry> {
    return savedExpiry(this.expiry);
  }

  private change(next: Expiry): void {
    this.expiry = next;
    this.runs.wake();
  }

  /** Takes the destroy of the old end out of the queue when the new one is later. */
  async move(expiresAtMs: number | null): Promise<void> {
    this.change(expiryMoved(this.expiry, expiresAtMs, Date.now()));
    const destroy = destroyToWithdraw(this.expiry, Date.now());
    if (destroy !== null) await this.runs.drop(destroy, endPostponed);
  }

  unblock(): void {
    this.change(expiryUnblocked(this.expiry));
  }

  /** A run is being dropped. Answers what to `restore` should that fail; null when it is not the destroy of the end. */
  destroyDropped(deploymentId: string, { cause }: Drop): ExpiryDestroy | null {
    const { destroy } = this.expiry;
    if (!isDestroy(this.expiry, deploymentId)) return null;
    // Histories of older versions wait for the backoff of the destroy that was dropped, though there is another end.
    const withdrawn = cause.kind === 'putOff' && patched('withdrawn-destroy');
    this.expiry = withdrawn
      ? destroyWithdrawn(this.expiry, deploymentId)
      : destroyEnded(this.expiry, deploymentId, Date.now());
    return destroy;
  }

  /** It could not be dropped after all. */
  restore(destroy: ExpiryDestroy): void {
    this.expiry = { ...this.expiry, destroy };
  }

  runEnded(deploymentId: string): void {
    this.expiry = destroyEnded(this.expiry, deploymentId, Date.now());
  }

  /** Warns, or asks for the destroy, when it is time. Answers for how long nothing has to be done; null for as long as nothing changes. */
  async attend(): Promise<number | null> {
    const { environmentId } = this;
    const step = expiryStep(this.expiry, Date.now());
    switch (step.kind) {
      case 'idle':
        return null;
      case 'wait':
        return step.forMs;
      case 'warn': {
        const { expiresAtMs, remainingMs } = step;
        this.expiry = step.next;
        await records.warnExpiry({ environmentId, expiresAtMs, remainingMs });
        this.runs.wake();
        return null;
      }
      case 'destroy': {
        const { expiresAtMs, told } = step;
        this.expiry = step.next;
        await this.requestDestroy(expiresAtMs, told);
        return null;
      }
    }
  }

  private async requestDestroy(expiresAtMs: number, told: boolean): Promise<void> {
    const { environmentId } = this;
    const answer = await records.requestExpiry({ environmentId, expiresAtMs, told });
    this.runs.wake();
    if (this.expiry.expiresAtMs !== expiresAtMs) {
      // It was moved while the destroy was being asked for.
      if (answer.kind === 'run')
        await records.recordCancelled({ deploymentId: answer.run.deploymentId, ...endPostponed });
      return;
    }
    switch (answer.kind) {
      case 'run':
        this.expiry = destroyScheduled(this.expiry, answer.run.deploymentId);
        await this.runs.submit(answer.run);
        return;
      case 'refused':
        this.expiry = destroyRefused(this.expiry, expiresAtMs);
        return;
      case 'moved':
        await this.move(answer.expiresAtMs);
    }
  }
}
