import { cronProblem, expiryAfterDeploy, restartsTtl, timezoneProblem, ttlProblem } from '../definition/index.ts';
import type { TtlLimits } from '../definition/index.ts';
import type {
  Actor,
  Environment,
  EnvironmentDrift,
  EnvironmentSchedule,
  EnvironmentSettings,
  Problem,
  Ttl,
} from '../model/index.ts';
import { mayHaveResources, messageOf, WindlassError } from '../model/index.ts';
import {
  getEnvironment,
  listDeploysSinceDestroy,
  listNodeDeploysSinceDestroy,
  lockEnvironmentRow,
  moveExpiry,
  moveNodeExpiries,
  scopeTtlSettings,
  setEnvironmentExpiry,
  updateEnvironment,
} from '../store/index.ts';
import { audit } from './context.ts';
import type { Context } from './context.ts';
import { entityOf } from './places.ts';

/** A drift check missed by more than this is dropped: the next one says the same. */
export const driftCatchUpSeconds = 600;

/** Throws `invalidInput` with every problem of a schedule. */
export function checkSchedule(schedule: EnvironmentSchedule): void {
  const problems: Problem[] = [];
  for (const kind of ['deploy', 'destroy'] as const) {
    const cron = schedule[kind];
    const problem = cron === undefined ? null : cronProblem(cron);
    if (problem !== null) problems.push({ path: kind, message: problem });
  }
  const zone = timezoneProblem(schedule.timezone);
  if (zone !== null) problems.push({ path: 'timezone', message: zone });
  if (schedule.deploy === undefined && schedule.destroy === undefined) {
    problems.push({ path: 'deploy', message: 'a schedule has a deploy cron, a destroy cron, or both' });
  }
  refuse(problems, 'The schedule is not usable');
}

/** Throws `invalidInput` with every problem of the times of drift checks. */
export function checkDrift(drift: EnvironmentDrift): void {
  const problems: Problem[] = [];
  const cron = cronProblem(drift.cron);
  if (cron !== null) problems.push({ path: 'cron', message: cron });
  const zone = timezoneProblem(drift.timezone);
  if (zone !== null) problems.push({ path: 'timezone', message: zone });
  refuse(problems, 'The drift checks are not usable');
}

function refuse(problems: readonly Problem[], what: string): void {
  if (problems.length === 0) return;
  throw new WindlassError('invalidInput', `${what}: ${problems.map((problem) => problem.message).join('; ')}`, {
    problems,
  });
}

/**
 * The moment from which the hours of a time to live count, epoch milliseconds: the end of the last deploy that began them
 * (`restartsTtl`), else of the first run that left something there. Null when nothing is deployed.
 */
export async function deployedAt(context: Context, environment: Environment): Promise<number | null> {
  if (!mayHaveResources(environment.status)) return null;
  const isNode = environment.parentId !== null && !environment.flags.detached;
  const deploys = isNode ? listNodeDeploysSinceDestroy : listDeploysSinceDestroy;
  const runs = await deploys(context.db.sql, environment.id);
  const since = runs.findLast((run) => run.succeeded && restartsTtl(run)) ?? runs[0];
  return since?.finished_at.getTime() ?? null;
}

/** Throws `invalidInput` for a time to live that is over, or longer than the project allows. Answers the limits. */
export async function checkTtl(context: Context, projectId: string, ttl: Ttl): Promise<TtlLimits> {
  const limits = await scopeTtlSettings(context.db.sql, projectId);
  const problem = ttlProblem(ttl, context.clock(), limits);
  if (problem !== null)
    throw new WindlassError('invalidInput', problem, {
      problems: [{ path: 'ttl', message: problem }],
      ...(limits.maximumTtlHours === undefined
        ? {}
        : {
            hint: `give at most ${limits.maximumTtlHours} hours, or have the maximum raised: windlass project update --maximum-ttl`,
          }),
    });
  return limits;
}

/** When an environment ends under a time to live, epoch milliseconds: null for never, undefined while nothing is deployed. */
export async function expiryUnder(
  context: Context,
  environment: Environment,
  ttl: Ttl,
): Promise<number | null | undefined> {
  const limits = await checkTtl(context, environment.projectId, ttl);
  const now = context.clock();
  const deployed = await deployedAt(context, environment);
  if (deployed === null) return undefined;
  const expiry = expiryAfterDeploy(ttl, deployed, limits);
  if (expiry !== null && expiry <= now) {
    throw new WindlassError(
      'invalidInput',
      `"${environment.name}" was deployed at ${new Date(deployed).toISOString()}: this time to live is over already`,
      {
        hint: 'hours count from the last deploy; give more of them, or a date',
      },
    );
  }
  return expiry;
}

/** Makes Temporal's schedules what the settings say. */
export async function syncSchedules(
  context: Context,
  environment: Environment,
  settings: EnvironmentSettings,
): Promise<void> {
  const { temporal } = context;
  const common = { environmentId: environment.id, environmentName: environment.name, projectId: environment.projectId };
  const { schedule, drift } = settings;
  for (const kind of ['deploy', 'destroy'] as const) {
    const cron = schedule?.[kind];
    if (schedule === undefined || cron === undefined) await temporal.deleteSchedule(kind, environment.id);
    else {
      const { timezone, paused, catchUpSeconds } = schedule;
      await temporal.putSchedule({ ...common, kind, cron, timezone, paused, catchUpSeconds });
    }
  }
  if (drift === undefined) await temporal.deleteSchedule('drift', environment.id);
  else {
    const { cron, timezone, paused } = drift;
    await temporal.putSchedule({
      ...common,
      kind: 'drift',
      cron,
      timezone,
      paused,
      catchUpSeconds: driftCatchUpSeconds,
    });
  }
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}

export interface LifeChange {
  readonly actor: Actor;
  readonly environment: Environment;
  /** Of a node: the environment of its graph, whose workflow follows its end. */
  readonly root?: Environment;
  /** Of what is saved at that moment, so that changes at the same time do not undo each other. */
  readonly settings: (saved: EnvironmentSettings) => EnvironmentSettings;
  /** Epoch milliseconds or null for never; undefined leaves the moment of the end as it is. */
  readonly expiresAtMs?: number | null | undefined;
  readonly action: string;
  /** Further columns that change with it. */
  readonly patch?: {
    readonly name?: string;
    readonly templateId?: string;
    readonly workspace?: string | null;
    readonly revision?: string | null;
  };
}

/**
 * Saves settings, and tells Temporal what of them it has to know. When Temporal cannot be told, what was saved is taken
 * back and the call fails, so that the two agree.
 */
export async function saveSettings(context: Context, change: LifeChange): Promise<Environment> {
  const { db, temporal } = context;
  const { actor, environment, action, root = environment } = change;
  const isNode = root.id !== environment.id;
  const expiryBefore = environment.expiresAt === null ? null : Date.parse(environment.expiresAt);
  const moved = change.expiresAtMs !== undefined && change.expiresAtMs !== expiryBefore;

  const { before, settings } = await db.transaction(async (tx) => {
    await lockEnvironmentRow(tx, environment.id);
    const saved = (await getEnvironment(tx, environment.id)).settings;
    const wanted = change.settings(saved);
    await updateEnvironment(tx, environment.id, { ...change.patch, settings: wanted });
    if (moved) {
      const expiresAt =
        change.expiresAtMs === null || change.expiresAtMs === undefined ? null : new Date(change.expiresAtMs);
      if (isNode) {
        const move = {
          environmentId: environment.id,
          alias: environment.alias ?? '',
          expiresAtMs: expiresAt?.getTime() ?? null,
        };
        await moveNodeExpiries(tx, root.id, [move], { by: actor.name });
      } else await moveExpiry(tx, environment.id, expiresAt, { by: actor.name });
    }
    await audit(tx, actor, {
      action,
      targetType: 'environment',
      targetId: environment.id,
      projectId: environment.projectId,
      before: { settings: saved, expiresAt: environment.expiresAt, ...present(environment, change.patch) },
      after: { settings: wanted, ...(moved ? { expiresAt: isoOf(change.expiresAtMs ?? null) } : {}), ...change.patch },
    });
    return { before: saved, settings: wanted };
  });
  const scheduled = !same(before.schedule, settings.schedule) || !same(before.drift, settings.drift);
  try {
    if (scheduled) await syncSchedules(context, environment, settings);
    if (moved) {
      const expiresAt = isNode ? root.expiresAt : isoOf(change.expiresAtMs ?? null);
      await temporal.expiryChanged({ ...entityOf({ ...root, expiresAt }), nodesExpire: isNode });
    }
  } catch (thrown) {
    await db.transaction(async (tx) => {
      await updateEnvironment(tx, environment.id, { ...present(environment, change.patch), settings: before });
      if (moved) await setEnvironmentExpiry(tx, environment.id, expiryBefore === null ? null : new Date(expiryBefore));
      await audit(tx, actor, {
        action: `${action}.undone`,
        targetType: 'environment',
        targetId: environment.id,
        projectId: environment.projectId,
        after: { reason: messageOf(thrown) },
      });
    });
    throw thrown;
  }
  return getEnvironment(db.sql, environment.id);
}

function isoOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/** The present values of the columns that a patch changes. */
function present(
  environment: Environment,
  patch: LifeChange['patch'],
): { name?: string; templateId?: string; workspace?: string | null; revision?: string | null } {
  if (patch === undefined) return {};
  return {
    ...(patch.name === undefined ? {} : { name: environment.name }),
    ...(patch.templateId === undefined || environment.templateId === null
      ? {}
      : { templateId: environment.templateId }),
    ...(patch.workspace === undefined ? {} : { workspace: environment.workspace }),
    ...(patch.revision === undefined ? {} : { revision: environment.revision }),
  };
}

/** Takes the schedules of an environment that is put away out of Temporal. */
export async function deleteSchedules(context: Context, environment: Environment): Promise<void> {
  await syncSchedules(context, environment, { ...environment.settings, schedule: undefined, drift: undefined });
}
