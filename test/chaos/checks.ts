import type { Client as TemporalClient } from '@temporalio/client';
import type { Pool } from 'pg';
import type { Deployment, Environment } from '../../src/model/index.ts';
import type { Asked } from './actions.ts';
import type { ChaosClient } from './client.ts';
import type { Cluster } from './cluster.ts';
import type { ChaosGraph } from './graph.ts';
import type { Kill } from './monkey.ts';
import { checkCauses, checkEvents, checkMarked, checkNothingOpen, checkTemporal, readRecords } from './records.ts';
import { checkAppliedOnce, checkStateHistory, checkStates } from './world.ts';

export interface CheckContext {
  readonly cluster: Cluster;
  readonly client: ChaosClient;
  readonly database: Pool;
  readonly temporal: TemporalClient;
  readonly environment: Environment;
  readonly graph: ChaosGraph;
  readonly kills: readonly Kill[];
  readonly asked: ReadonlyMap<string, Asked>;
  readonly rejected: ReadonlySet<string>;
  /** The last run, whose tools nobody kills; null before it. */
  readonly finalId: string | null;
}

/** Everything that must hold whenever all runs of the environment have ended; answers what does not. */
export async function findViolations(context: CheckContext): Promise<string[]> {
  const records = await readRecords(context);
  const temporal = await checkTemporal(context, records);
  return [
    ...temporal,
    ...(await checkNothingOpen(context, records)),
    ...(await checkEvents(context, records)),
    ...(await checkMarked(context)),
    ...checkCauses(context, records),
    ...checkAppliedOnce(context, records),
    ...(await checkStateHistory(context)),
    ...(context.finalId === null ? await checkStates(context) : []),
  ];
}

/** What the definition says is there: all of it, with the values of the last deploy, or nothing after a destroy. */
export async function findDeviations(context: CheckContext, final: Deployment): Promise<string[]> {
  const value = final.request.variables.find(({ name }) => name === 'value')?.value;
  return checkStates(context, final.type === 'destroy' ? null : String(value));
}
