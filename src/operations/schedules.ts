import { nextRuns } from '../definition/index.ts';
import type { Environment, Page, ScheduleKind, ScheduledRun } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { listEnvironments } from '../store/index.ts';
import type { PageRequest } from '../store/index.ts';
import { namedScope } from './context.ts';
import type { Asked, Context } from './context.ts';

/** What an environment does at fixed times. */
function schedulesOf(context: Context, environment: Environment): Omit<ScheduledRun, 'missed'>[] {
  const { schedule, drift } = environment.settings;
  const { id, name, projectId, flags } = environment;
  const one = (kind: ScheduleKind, cron: string | undefined, settings: { timezone: string; paused: boolean }) => {
    if (cron === undefined) return [];
    const { timezone, paused } = settings;
    const [next] = paused ? [] : nextRuns(cron, timezone, context.clock(), 1);
    return [
      {
        environmentId: id,
        environmentName: name,
        projectId,
        kind,
        cron,
        timezone,
        paused,
        locked: flags.lock !== null,
        next: next === undefined ? null : new Date(next).toISOString(),
      },
    ];
  };
  return [
    ...(schedule ? [...one('deploy', schedule.deploy, schedule), ...one('destroy', schedule.destroy, schedule)] : []),
    ...(drift ? one('drift', drift.cron, drift) : []),
  ];
}

/** What happens at fixed times, over all environments. */
export function scheduleOperations(context: Context) {
  const { db, temporal } = context;

  /** null while Temporal is away: what is planned is in the records, and worth an answer without it. */
  async function missedBy(kind: ScheduleKind, environmentId: string): Promise<number | null> {
    try {
      return (await temporal.describeSchedule(kind, environmentId))?.missed ?? 0;
    } catch (thrown) {
      if (thrown instanceof WindlassError && thrown.code === 'unavailable') return null;
      throw thrown;
    }
  }

  return {
    /** A page is one of environments; each may have three schedules. */
    async listSchedules({
      actor,
      project,
      ...page
    }: Asked & PageRequest & { project?: string | undefined }): Promise<Page<ScheduledRun>> {
      const scope = await namedScope(db.sql, actor, project);
      const found = await listEnvironments(db.sql, scope, { ...page, parentId: null, scheduled: true });
      const runs = found.items.flatMap((environment) => schedulesOf(context, environment));
      const items = await Promise.all(
        runs.map(async (run) => ({ ...run, missed: await missedBy(run.kind, run.environmentId) })),
      );
      return { items, next: found.next };
    },
  };
}
