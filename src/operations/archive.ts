import { setTimeout as sleep } from 'node:timers/promises';
import type { Environment } from '../model/index.ts';
import { mayHaveResources, WindlassError } from '../model/index.ts';
import { archiveEnvironment as putAway, listSubEnvironments, openRunsOf, setEnvironmentLock } from '../store/index.ts';
import type { OpenRunOf } from '../store/index.ts';
import { audit, authorize, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';
import { deleteSchedules } from './life-settings.ts';
import { findPlace, requireRoot } from './places.ts';
import { controlOperations } from './run-control.ts';

/** How long `force` waits for tools that are being interrupted: they may be writing their state. */
const abortWithinMs = 25_000;
const lookEveryMs = 200;

function describe(runs: readonly OpenRunOf[]): string {
  const names = runs.slice(0, 5).map(({ number, type, status }) => `deployment ${number} (${type}, ${status})`);
  return `${names.join(', ')}${runs.length > names.length ? ` and ${runs.length - names.length} more` : ''}`;
}

/** Putting environments away. */
export function archiveOperations(context: Context) {
  const { db, temporal } = context;
  const { abortDeployment, cancelDeployment } = controlOperations(context);

  /** Aborts what runs, drops what is queued, and waits until all of it is over. */
  async function endRuns({ actor }: Asked, environment: Environment): Promise<void> {
    const reason = 'its environment is archived';
    for (const run of await openRunsOf(db.sql, environment.id)) {
      const ask = { actor, ref: run.id, reason };
      await (run.status === 'queued' ? cancelDeployment(ask) : abortDeployment(ask)).catch((thrown: unknown) => {
        // It has ended by itself meanwhile.
        if (!(thrown instanceof WindlassError) || thrown.code !== 'conflict') throw thrown;
      });
    }
    for (const untilMs = Date.now() + abortWithinMs; ; await sleep(lookEveryMs)) {
      const left = await openRunsOf(db.sql, environment.id);
      if (left.length === 0) return;
      if (Date.now() < untilMs) continue;
      throw new WindlassError(
        'conflict',
        `"${environment.name}" still ends ${describe(left)}: its tools are interrupted`,
        {
          hint: `wait for the end and archive it again: windlass deployment watch ${left[0]?.id ?? ''}`,
        },
      );
    }
  }

  async function requireNothingLive(environment: Environment): Promise<void> {
    const nodes = await listSubEnvironments(db.sql, environment.id);
    const live = [environment, ...nodes].filter(({ status }) => mayHaveResources(status));
    if (live.length === 0) return;
    const names = live.map((node) => `"${node.alias ?? node.name}" (${node.status})`);
    throw new WindlassError(
      'conflict',
      `"${environment.name}" may still have resources: ${names.slice(0, 10).join(', ')}`,
      { hint: `destroy it first: windlass destroy ${environment.name}; or forget them with ?force=true` },
    );
  }

  async function notifyArchived({ environmentId }: { environmentId: string }): Promise<void> {
    await temporal.lockChanged(environmentId).catch(() => undefined);
  }

  return {
    /**
     * Puts an environment away. Its records stay. A run in progress refuses it; `force` aborts what runs first, and
     * forgets resources that may still be there.
     */
    async archiveEnvironment({ actor, ref, force }: Asked & { ref: string; force: boolean }): Promise<void> {
      const place = await findPlace(db.sql, ref, scopeOf(actor));
      authorize(actor, 'project.manage', place.root.projectId);
      const environment = requireRoot(place, 'archiving');
      if (environment.flags.archived) return;
      const running = await openRunsOf(db.sql, environment.id);
      if (running.length > 0 && !force) {
        throw new WindlassError('conflict', `"${environment.name}" is at work: ${describe(running)}`, {
          hint: `wait for the end, or stop it: windlass abort ${environment.name}; ?force=true (--force) aborts it and archives`,
        });
      }
      if (!force) await requireNothingLive(environment);
      if (running.length > 0) await endRuns({ actor }, environment);
      await deleteSchedules(context, environment);
      const nodes = await listSubEnvironments(db.sql, environment.id);
      const live = [environment, ...nodes].filter(({ status }) => mayHaveResources(status));
      await db.transaction(async (tx) => {
        await putAway(tx, environment.id);
        // From here on no run can be made for it; one that was made just before is not left open.
        const late = await openRunsOf(tx, environment.id);
        if (late.length > 0) {
          throw new WindlassError('conflict', `"${environment.name}" has just begun ${describe(late)}`, {
            hint: 'archive it again',
          });
        }
        await setEnvironmentLock(tx, environment.id, null);
        await audit(tx, actor, {
          action: 'environment.archive',
          targetType: 'environment',
          targetId: environment.id,
          projectId: environment.projectId,
          before: { name: environment.name, status: environment.status },
          after: {
            archived: true,
            ...(running.length > 0 ? { ended: running.map(({ id }) => id) } : {}),
            ...(live.length > 0 ? { forgotten: live.map((node) => node.id) } : {}),
          },
        });
      });
      // The record is what counts: a workflow that has not heard of it asks before it does anything, and the housekeeping
      // tells it once more.
      await notifyArchived({ environmentId: environment.id });
    },

    /** Lets the workflow of an environment that is archived see so, and end. One that cannot be told is told later. */
    notifyArchived,
  };
}
