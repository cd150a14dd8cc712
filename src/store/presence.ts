import { randomInt } from 'node:crypto';
import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';
import type { Client } from 'pg';
import { keepPostgresSession } from './postgres-session.ts';

/** The first half of the advisory locks that say who is alive; the second is the process's number. */
const presenceLocks = 7_203;
const numbers = 2 ** 31 - 1;

/**
 * Shows other processes on the same database that this one is alive, under a number that it may write into records.
 * The number changes when the connection that shows it was lost.
 */
export interface Presence {
  /** null while it cannot be shown. */
  current(): Promise<number | null>;
  close(): Promise<void>;
}

/**
 * A condition that holds when the process of a number has ended. Its lock is freed by the server in the moment in which
 * its connection breaks; it is asked for shared, so that two who ask at once do not take each other for the owner.
 * On PGlite nobody holds such a lock, which is right: only one process has the database open. Of a process that cannot
 * show itself nothing is said: it might ask about its own number of before.
 */
export function hasEnded(process: RawBuilder<unknown>, own: number | null): RawBuilder<boolean> {
  return sql<boolean>`(${process} <> ${own}::int AND pg_try_advisory_xact_lock_shared(${presenceLocks}::int, ${process}))`;
}

/** The presence of the one process that has a PGlite database open. */
export function singleProcessPresence(): Presence {
  const number = randomInt(1, numbers);
  return { current: () => Promise.resolve(number), close: () => Promise.resolve() };
}

/** Holds an advisory lock in a connection of its own, which is opened when it is first asked for. */
export function postgresPresence(url: string): Presence {
  let number: number | null = null;
  const session = keepPostgresSession({
    url,
    applicationName: 'windlass-presence',
    async prepare(client) {
      number = await takeNumber(client);
    },
    onLost() {
      number = null;
    },
    isWanted: () => true,
  });
  return {
    async current() {
      if (session.client === null) await session.open().catch(() => undefined);
      return number;
    },
    close: () => session.close(),
  };
}

async function takeNumber(client: Client): Promise<number> {
  for (;;) {
    const number = randomInt(1, numbers);
    const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1::int, $2::int) AS taken', [
      presenceLocks,
      number,
    ]);
    if (rows[0]?.taken === true) return number;
  }
}
