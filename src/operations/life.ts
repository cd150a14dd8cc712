import { nextRuns } from '../definition/index.ts';
import type { Environment, EnvironmentDrift, EnvironmentLock, EnvironmentSchedule, Page } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { getEnvironment, listDriftResults, recordEvent, setEnvironmentLock } from '../store/index.ts';
import type { DriftResult, PageRequest } from '../store/index.ts';
import { audit, authorize, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';
import { checkDrift, checkSchedule, saveSettings } from './life-settings.ts';
import { setByHand } from './life-settings-file.ts';
import { findPlace, requirePresent, requireRoot } from './places.ts';

interface OnEnvironment extends Asked {
  readonly ref: string;
}

export interface ScheduleAnswer {
  readonly schedule: EnvironmentSchedule | null;
  /** ISO 8601, nearest first; empty while paused. */
  readonly next: { readonly deploy: string[]; readonly destroy: string[] };
  /** Firings dropped because Windlass was away for longer than the catch-up window; null while Temporal is away. */
  readonly missed: number | null;
}

export interface DriftAnswer {
  readonly drift: EnvironmentDrift | null;
  readonly next: string[];
  /** Newest first. */
  readonly results: DriftResult[];
  readonly nextCursor: string | null;
}

const shownRuns = 5;

function runsOf(
  context: Context,
  cron: string | undefined,
  settings: { timezone: string; paused: boolean } | undefined,
): string[] {
  if (cron === undefined || settings === undefined || settings.paused) return [];
  return nextRuns(cron, settings.timezone, context.clock(), shownRuns).map((ms) => new Date(ms).toISOString());
}

/** How an environment lives by itself: its lock and its schedules. */
export function lifeOperations(context: Context) {
  const { db, temporal } = context;

  async function forChange({ actor, ref }: OnEnvironment, what: string): Promise<Environment> {
    const place = await findPlace(db.sql, ref, scopeOf(actor));
    authorize(actor, 'execute', place.root.projectId);
    requirePresent(place);
    return requireRoot(place, what);
  }

  async function forView({ actor, ref }: OnEnvironment): Promise<Environment> {
    const { environment } = await findPlace(db.sql, ref, scopeOf(actor));
    authorize(actor, 'view', environment.projectId);
    return environment;
  }

  async function scheduleAnswer({ id, settings }: Pick<Environment, 'id' | 'settings'>): Promise<ScheduleAnswer> {
    const { schedule } = settings;
    return {
      schedule: schedule ?? null,
      next: {
        deploy: runsOf(context, schedule?.deploy, schedule),
        destroy: runsOf(context, schedule?.destroy, schedule),
      },
      missed: schedule === undefined ? 0 : await missedFirings(id, schedule),
    };
  }

  async function missedFirings(environmentId: string, schedule: EnvironmentSchedule): Promise<number | null> {
    const kinds = (['deploy', 'destroy'] as const).filter((kind) => schedule[kind] !== undefined);
    try {
      const views = await Promise.all(kinds.map(async (kind) => temporal.describeSchedule(kind, environmentId)));
      return views.reduce((sum, view) => sum + (view?.missed ?? 0), 0);
    } catch (thrown) {
      // The schedule itself is in the database, and worth an answer without Temporal.
      if (thrown instanceof WindlassError && thrown.code === 'unavailable') return null;
      throw thrown;
    }
  }

  async function writeLock(
    ask: Asked & { environment: Environment; lock: EnvironmentLock | null },
  ): Promise<Environment> {
    const { actor, environment, lock } = ask;
    await db.transaction(async (tx) => {
      await setEnvironmentLock(tx, environment.id, lock);
      await recordEvent(tx, {
        type: 'environment.status',
        environmentId: environment.id,
        deploymentId: null,
        alias: null,
        data: { status: environment.status, lock },
      });
      await audit(tx, actor, {
        action: lock === null ? 'environment.unlock' : 'environment.lock',
        targetType: 'environment',
        targetId: environment.id,
        projectId: environment.projectId,
        before: environment.flags.lock,
        after: lock,
      });
    });
    return getEnvironment(db.sql, environment.id);
  }

  return {
    /** Refuses every run that would change the environment, scheduled ones too. Throws `locked` when another holds it. */
    async lockEnvironment({ actor, ref, reason }: OnEnvironment & { reason: string }): Promise<Environment> {
      const environment = await forChange({ actor, ref }, 'a lock');
      const known = environment.flags.lock;
      if (known !== null && known.by !== actor.name) {
        throw new WindlassError(
          'locked',
          `"${environment.name}" is locked by ${known.by} since ${known.at}: ${known.reason}`,
          { hint: 'unlock it first' },
        );
      }
      if (known?.reason === reason) return environment;
      const lock: EnvironmentLock = { reason, by: actor.name, at: new Date(context.clock()).toISOString() };
      const locked = await writeLock({ actor, environment, lock });
      try {
        await temporal.lockChanged(environment.id);
      } catch (thrown) {
        // The record alone refuses requests; the workflow's copy is a second guard.
        if (!(thrown instanceof WindlassError) || thrown.code !== 'unavailable') throw thrown;
      }
      return locked;
    },

    /** Unlocking what is not locked changes nothing. */
    async unlockEnvironment(ask: OnEnvironment): Promise<Environment> {
      const environment = await forChange(ask, 'a lock');
      const known = environment.flags.lock;
      const unlocked = known === null ? environment : await writeLock({ actor: ask.actor, environment, lock: null });
      try {
        await temporal.lockChanged(environment.id);
      } catch (thrown) {
        // Should the workflow still refuse a run, it is unlocked when that run is sent.
        if (!(thrown instanceof WindlassError) || thrown.code !== 'unavailable') throw thrown;
      }
      return unlocked;
    },

    async getSchedule(ask: OnEnvironment): Promise<ScheduleAnswer> {
      return scheduleAnswer(await forView(ask));
    },

    async setSchedule({
      actor,
      ref,
      schedule,
    }: OnEnvironment & { schedule: EnvironmentSchedule | null }): Promise<ScheduleAnswer> {
      if (schedule !== null) checkSchedule(schedule);
      const environment = await forChange({ actor, ref }, 'a schedule');
      const { settings } = await saveSettings(context, {
        actor,
        environment,
        settings: (saved) => setByHand({ ...saved, schedule: schedule ?? undefined }, ['schedule']),
        action: schedule === null ? 'environment.schedule.delete' : 'environment.schedule',
      });
      return scheduleAnswer({ id: environment.id, settings });
    },

    async getDrift({ actor, ref, ...page }: OnEnvironment & PageRequest): Promise<DriftAnswer> {
      const environment = await forView({ actor, ref });
      const { drift } = environment.settings;
      const results: Page<DriftResult> = await listDriftResults(db.sql, { environmentId: environment.id, ...page });
      return {
        drift: drift ?? null,
        next: runsOf(context, drift?.cron, drift),
        results: results.items,
        nextCursor: results.next,
      };
    },

    async setDrift({ actor, ref, drift }: OnEnvironment & { drift: EnvironmentDrift | null }): Promise<DriftAnswer> {
      if (drift !== null) checkDrift(drift);
      const environment = await forChange({ actor, ref }, 'a drift check');
      const { settings } = await saveSettings(context, {
        actor,
        environment,
        settings: (saved) => setByHand({ ...saved, drift: drift ?? undefined }, ['drift']),
        action: drift === null ? 'environment.drift.delete' : 'environment.drift',
      });
      return {
        drift: settings.drift ?? null,
        next: runsOf(context, settings.drift?.cron, settings.drift),
        results: [],
        nextCursor: null,
      };
    },
  };
}
