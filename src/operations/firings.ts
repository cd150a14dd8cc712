import { nextRuns } from '../definition/index.ts';
import type { EnvironmentSettings, ScheduleKind } from '../model/index.ts';
import { systemActor } from '../model/index.ts';
import { isSkipAudited, lockEnvironmentRow, readEnvironmentSettings, recordEvent } from '../store/index.ts';
import { audit } from './context.ts';
import type { Context } from './context.ts';
import { driftCatchUpSeconds } from './life-settings.ts';

/** Whether a firing of a schedule may bring a run about. `key` is the same for each message of one firing. */
export type FiringCheck =
  | { readonly kind: 'due'; readonly key: string }
  /** One of this schedule's, but Windlass was away for longer than its catch-up window. */
  | { readonly kind: 'late'; readonly because: string }
  /** None that this environment's schedule has. */
  | { readonly kind: 'unknown'; readonly because: string };

/** Temporal and this machine may disagree on the time by this much; a worker takes a task a little later. */
const slackMs = 60_000;
/** Firings older than this are nobody's any more. */
const forgottenMs = 100 * 86_400_000;

interface Timing {
  readonly cron: string;
  readonly timezone: string;
  readonly paused: boolean;
  readonly catchUpMs: number;
}

/** When the settings let a schedule fire; null when it has none. */
function timingOf({ schedule, drift }: EnvironmentSettings, kind: ScheduleKind): Timing | null {
  if (kind === 'drift') return drift === undefined ? null : { ...drift, catchUpMs: driftCatchUpSeconds * 1000 };
  const cron = schedule?.[kind];
  return schedule === undefined || cron === undefined
    ? null
    : { cron, timezone: schedule.timezone, paused: schedule.paused, catchUpMs: schedule.catchUpSeconds * 1000 };
}

/** The nominal time at the end of the id that Temporal gives to what a schedule starts. */
function nominalTime(firedAt: string, prefix: string): number | null {
  if (!firedAt.startsWith(`${prefix}-`)) return null;
  const ms = Date.parse(firedAt.slice(prefix.length + 1));
  return Number.isNaN(ms) ? null : ms;
}

/** Holds a firing against the recorded schedule. Pure. */
export function judgeFiring(
  settings: EnvironmentSettings,
  firing: {
    readonly environmentId: string;
    readonly kind: ScheduleKind;
    readonly firedAt: string;
    readonly nowMs: number;
  },
): FiringCheck {
  const { environmentId, kind, firedAt, nowMs } = firing;
  const timing = timingOf(settings, kind);
  if (timing === null) return { kind: 'unknown', because: `the environment has no ${kind} schedule` };
  if (timing.paused) return { kind: 'unknown', because: `the ${kind} schedule is paused` };
  const prefix = `scheduled:${kind}:${environmentId}`;
  const nominalMs = nominalTime(firedAt, prefix);
  if (nominalMs === null || nextRuns(timing.cron, timing.timezone, nominalMs - 1, 1)[0] !== nominalMs)
    return { kind: 'unknown', because: `the ${kind} schedule does not fire at that time` };
  if (nominalMs > nowMs + slackMs) return { kind: 'unknown', because: 'that time has not come' };
  if (nominalMs < nowMs - forgottenMs) return { kind: 'unknown', because: 'that time is long past' };
  if (nominalMs < nowMs - timing.catchUpMs - slackMs)
    return { kind: 'late', because: 'it fired later than its catch-up window allows' };
  return { kind: 'due', key: `${prefix}-${new Date(nominalMs).toISOString()}` };
}

/** What the firings of schedules lead to. */
export function firingOperations(context: Context) {
  const { db } = context;
  return {
    async checkFiring(firing: {
      environmentId: string;
      kind: ScheduleKind;
      firedAt: string;
      nowMs: number;
    }): Promise<FiringCheck> {
      const settings = await readEnvironmentSettings(db.sql, firing.environmentId);
      if (settings === null) return { kind: 'unknown', because: 'there is no such environment' };
      return judgeFiring(settings, firing);
    },

    /** Writes down that a firing came to nothing, and why: once, in the events and in the audit log. */
    async recordSkipped(skip: {
      environmentId: string;
      kind: ScheduleKind;
      firedAt: string;
      message: string;
    }): Promise<void> {
      const { environmentId, ...data } = skip;
      await db.transaction(async (tx) => {
        const locked = await lockEnvironmentRow(tx, environmentId);
        if (locked === null || (await isSkipAudited(tx, skip))) return;
        await recordEvent(tx, { type: 'schedule.skipped', environmentId, deploymentId: null, alias: null, data });
        await audit(tx, systemActor, {
          action: 'schedule.skipped',
          targetType: 'environment',
          targetId: environmentId,
          projectId: locked.projectId,
          after: data,
        });
      });
    },
  };
}
