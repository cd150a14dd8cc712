import { pruneEvents, pruneIdempotencyKeys, pruneReads } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';

const dayMs = 86_400_000;
/** How long each is kept; docs/operating.md says so too. */
export const keptDays = { events: 90, idempotencyKeys: 30, reads: 90, stateGrants: 90 } as const;
const batch = 5000;
/** What is left over by one day is for the next. */
const batchesADay = 40;

/** See ScheduledActivities.keepHouse. Small steps, so that nobody waits for a lock. */
export async function pruneRecords(deps: Pick<ActivityDeps, 'db' | 'state'>): Promise<{ removed: number }> {
  const before = (days: number): Date => new Date(Date.now() - days * dayMs);
  let removed = await deps.state.pruneGrants(keptDays.stateGrants * dayMs);
  for (const step of [
    () => pruneEvents(deps.db.sql, before(keptDays.events), batch),
    () => pruneIdempotencyKeys(deps.db.sql, before(keptDays.idempotencyKeys), batch),
    () => pruneReads(deps.db.sql, before(keptDays.reads), batch),
  ]) {
    for (let done = batch, round = 0; done >= batch && round < batchesADay; round++) {
      done = await step();
      removed += done;
    }
  }
  return { removed };
}
