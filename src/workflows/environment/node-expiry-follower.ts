import { records } from '../proxies.ts';
import { endPostponed } from './expiry-follower.ts';
import type { Runs } from './expiry-follower.ts';

/**
 * Looks at the ends of nodes when it is time: one timer, however many nodes there are. What is due, and what is to be done,
 * an activity reads from the records.
 */
export class NodeExpiryFollower {
  private readonly environmentId: string;
  private readonly runs: Runs;
  private nextMs: number | null;

  constructor(environmentId: string, nextMs: number | null, runs: Runs) {
    this.environmentId = environmentId;
    this.runs = runs;
    this.nextMs = nextMs;
  }

  get dueMs(): number | null {
    return this.nextMs;
  }

  /** The records have changed, or so somebody says. */
  changed(): void {
    this.nextMs = 0;
    this.runs.wake();
  }

  /** Does what is due. Answers for how long nothing has to be done; null for as long as nothing changes. */
  async attend(): Promise<number | null> {
    if (this.nextMs !== null && this.nextMs <= Date.now()) await this.attendNow();
    return this.nextMs === null ? null : Math.max(0, this.nextMs - Date.now());
  }

  async attendNow(): Promise<void> {
    this.nextMs = null;
    const { runs, withdrawn, nextMs } = await records.attendNodeExpiry({ environmentId: this.environmentId });
    // Whoever has said something meanwhile is heard by the next look.
    this.nextMs ??= nextMs;
    this.runs.wake();
    for (const deploymentId of withdrawn) await this.runs.drop(deploymentId, endPostponed);
    for (const run of runs) await this.runs.submit(run);
  }
}
