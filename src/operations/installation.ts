import { systemActor, WindlassError } from '../model/index.ts';
import {
  getDeployment,
  getEnvironment,
  listEndingBefore,
  listLiveEnvironmentIds,
  listOpenRuns,
  listQueuedBefore,
  hasNodeExpiry,
  moveExpiry,
  moveNodeExpiries,
  readInstallation,
  recordEvent,
  writeInstallation,
} from '../store/index.ts';
import type { Db, InstallationValue, OpenRun } from '../store/index.ts';
import { audit, authorize, requireAdministrator } from './context.ts';
import type { Asked, Context } from './context.ts';
import { syncSchedules } from './life-settings.ts';
import { entityOf } from './places.ts';
import { dropQueued } from './request-deployment.ts';

export interface InstallationAnswer {
  readonly hold: InstallationValue<'hold'> | null;
  /** Runs that are not over, without those that are held back. */
  readonly openRuns: readonly OpenRun[];
}

/** Throws `conflict` when the database is no longer the one that counts: its copy elsewhere may be at work. */
export async function refuseMoved(db: Db): Promise<void> {
  const moved = await readInstallation(db, 'moved');
  if (moved === null) return;
  throw new WindlassError(
    'conflict',
    moved.done
      ? `this installation was moved to ${moved.to} at ${moved.at}: started here it would destroy and deploy the same things once more`
      : `a move of this installation to ${moved.to} was begun at ${moved.at} and has not ended`,
    {
      hint: moved.done
        ? 'use the new one: windlass login URL. For a new installation on this machine set WINDLASS_DATA to another directory'
        : 'run the same `windlass move` again to finish it; or give it up with --cancel',
    },
  );
}

export async function isHeld(db: Db): Promise<boolean> {
  return (await readInstallation(db, 'hold')) !== null;
}

/** For what cannot wait in the records: an end that is due is asked for again, here or where the records will be. */
export async function requireNotHeld(db: Db): Promise<void> {
  const hold = await readInstallation(db, 'hold');
  if (hold !== null) throw new WindlassError('conflict', `new runs are held back by ${hold.by}: ${hold.reason}`);
}

/**
 * After records have come from elsewhere: tells Temporal all schedules and ends. Of a backup, which may be old, nothing
 * that was asked for then begins by itself, and ends that fell due meanwhile are put off, so that a person can look first.
 * May be repeated; a part that fails is done by the next call.
 */
export async function settleArrival(context: Context): Promise<void> {
  const { db, temporal } = context;
  const arrived = await readInstallation(db.sql, 'arrived');
  if (arrived === null || arrived.done) return;
  if (arrived.how === 'restore') {
    await dropRunsOfBackup(context, arrived);
    await postponeEnds(context, arrived);
  }
  const ids = await listLiveEnvironmentIds(db.sql);
  for (const id of ids) {
    const environment = await getEnvironment(db.sql, id);
    await syncSchedules(context, environment, environment.settings);
    const nodesExpire = await hasNodeExpiry(db.sql, id);
    if (environment.expiresAt !== null || nodesExpire)
      await temporal.expiryChanged({ ...entityOf(environment), nodesExpire });
  }
  await db.transaction(async (tx) => {
    await writeInstallation(tx, 'arrived', { ...arrived, done: true });
    await audit(tx, systemActor, {
      action: `installation.${arrived.how}`,
      targetType: 'installation',
      targetId: arrived.id,
      after: { asOf: arrived.asOf, environments: ids.length },
    });
  });
}

async function dropRunsOfBackup(context: Context, arrived: InstallationValue<'arrived'>): Promise<void> {
  for (const id of await listQueuedBefore(context.db.sql, arrived.at))
    await dropQueued(
      context,
      await getDeployment(context.db.sql, id),
      `it was queued when the backup of ${arrived.asOf} was made`,
    );
}

async function postponeEnds({ db }: Context, arrived: InstallationValue<'arrived'>): Promise<void> {
  const until = new Date(Date.parse(arrived.at) + arrived.graceHours * 3_600_000);
  for (const { id, rootId, alias, due } of await listEndingBefore(db.sql, until)) {
    await db.transaction(async (tx) => {
      if (alias === null) await moveExpiry(tx, id, until, { by: 'Windlass' });
      else {
        const move = { environmentId: rootId, alias, expiresAtMs: until.getTime() };
        await moveNodeExpiries(tx, rootId, [move], { by: 'Windlass' });
      }
      await recordEvent(tx, {
        type: 'environment.warning',
        environmentId: id,
        deploymentId: null,
        alias,
        data: {
          message: `it came back from a backup, and its time to live ended at ${due.toISOString()}: it is destroyed at ${until.toISOString()} unless that is put off (windlass ttl extend)`,
        },
      });
    });
  }
}

/** What concerns an installation as a whole: holding runs back before a move. */
export function installationOperations(context: Context) {
  const { db, clock } = context;
  const answer = async (): Promise<InstallationAnswer> => {
    const hold = await readInstallation(db.sql, 'hold');
    return { hold, openRuns: await listOpenRuns(db.sql, hold?.since ?? null) };
  };
  return {
    async getInstallation({ actor }: Asked): Promise<InstallationAnswer> {
      authorize(actor, 'view');
      return answer();
    },

    /** From now on runs are recorded and wait. Those that have begun, or wait in a queue already, come to their end. */
    async holdRuns({ actor, reason }: Asked & { reason: string }): Promise<InstallationAnswer> {
      requireAdministrator(actor);
      await db.transaction(async (tx) => {
        if ((await readInstallation(tx, 'hold')) !== null) return;
        const hold = { since: new Date(clock()).toISOString(), by: actor.name, reason };
        await writeInstallation(tx, 'hold', hold);
        await audit(tx, actor, {
          action: 'installation.hold',
          targetType: 'installation',
          targetId: 'hold',
          after: hold,
        });
      });
      return answer();
    },

    /** Lets the held runs begin; the reconciliation sends them. */
    async releaseRuns({ actor }: Asked): Promise<InstallationAnswer> {
      requireAdministrator(actor);
      await db.transaction(async (tx) => {
        const hold = await readInstallation(tx, 'hold');
        if (hold === null) return;
        await writeInstallation(tx, 'hold', null);
        await audit(tx, actor, {
          action: 'installation.release',
          targetType: 'installation',
          targetId: 'hold',
          before: hold,
        });
      });
      return answer();
    },

    /** See `settleArrival`. */
    settleArrival: async (): Promise<void> => settleArrival(context),

    /** Only administrators get everything that is stored. */
    authorizeBackup: async ({ actor }: Asked): Promise<void> => requireAdministrator(actor),
  };
}
