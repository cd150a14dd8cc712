import type { PGliteSession } from './pglite-session.ts';
import type { Mutex } from './pglite-dialect.ts';

const lookEveryMs = 60_000;
const statementsPerCheckpoint = 2000;
const statementsPerVacuum = 100_000;

/**
 * PGlite has no background processes: without this, the write-ahead log grows until the database is closed, and a
 * start after a crash replays all of it; rows that were changed often are never cleaned up.
 */
export function makeMaintenance({ session, mutex }: { readonly session: PGliteSession; readonly mutex: Mutex }): {
  readonly count: () => void;
  readonly stop: () => void;
} {
  let sinceCheckpoint = 0;
  let sinceVacuum = 0;
  let busy = false;

  async function look(): Promise<void> {
    if (busy || sinceCheckpoint < statementsPerCheckpoint) return;
    busy = true;
    try {
      await mutex.acquire();
      try {
        if (sinceVacuum >= statementsPerVacuum) {
          sinceVacuum = 0;
          await session.script('VACUUM (ANALYZE)');
        }
        sinceCheckpoint = 0;
        await session.script('CHECKPOINT');
      } finally {
        mutex.release();
      }
    } catch {
      // The next look tries again; a database that is broken says so to the next request.
    } finally {
      busy = false;
    }
  }

  const timer = setInterval(() => void look(), lookEveryMs);
  timer.unref();
  return {
    count() {
      sinceCheckpoint++;
      sinceVacuum++;
    },
    stop: () => clearInterval(timer),
  };
}
