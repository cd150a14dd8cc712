import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { SecretBox } from '../access/index.ts';
import type { Artifacts } from '../artifacts/index.ts';
import type { WorkerIdentity } from '../node/index.ts';
import type { Operations } from '../operations/index.ts';
import type { Isolation } from '../process/index.ts';
import type { RunnerRegistry } from '../tools/index.ts';
import type { Sources } from '../sources/index.ts';
import type { StateStore } from '../state/index.ts';
import type { Database } from '../store/index.ts';

/** What it takes to work out what a run does; nothing of it is begun. */
export type ResolveDeps = Pick<ActivityDeps, 'db' | 'secrets' | 'sources' | 'runners'>;

/** The rooms that activities call. */
export interface ActivityDeps {
  readonly db: Database;
  readonly secrets: SecretBox;
  readonly sources: Sources;
  readonly state: StateStore;
  readonly artifacts: Artifacts;
  readonly runners: RunnerRegistry;
  readonly operations: Operations;
  readonly temporal: Client;
  readonly worker: WorkerIdentity;
  readonly log: Logger;
  /** How long a run waits for a source that cannot be reached, such as a git host that is away. */
  readonly sourcePatienceMs: number;
  /** Work directories of environments on this machine. */
  readonly workDirectory: string;
  /** Keeps stacks from the rest of this machine. */
  readonly isolation: Isolation;
  /** Base address under which tools reach the state backend, such as `http://127.0.0.1:8080/state`. */
  readonly stateUrl: string;
}
