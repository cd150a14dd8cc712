import { expiryAfterDeploy } from '../definition/index.ts';
import type { Environment, Ttl } from '../model/index.ts';
import { kindOf, WindlassError } from '../model/index.ts';
import { scopeTtlSettings } from '../store/index.ts';
import { authorize, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';
import { deployedAt, expiryUnder, saveSettings } from './life-settings.ts';
import { findPlace, requirePresent } from './places.ts';
import type { Place } from './places.ts';

interface OnEnvironment extends Asked {
  readonly ref: string;
}

/** When an environment, or one node of it, destroys itself. */
export function ttlOperations(context: Context) {
  const { db } = context;

  async function forChange({ actor, ref }: OnEnvironment): Promise<Place> {
    const place = await findPlace(db.sql, ref, scopeOf(actor));
    authorize(actor, 'execute', place.root.projectId);
    requirePresent(place);
    if (kindOf(place.environment.type) === 'withoutTool')
      throw new WindlassError('conflict', `"${place.name}" deploys nothing, so it has nothing that could end`, {
        hint: `set the time to live of a stack, or of the whole: windlass ttl set ${place.root.name} 8h`,
      });
    if (place.alias !== null && kindOf(place.environment.type) === 'environment')
      throw new WindlassError('conflict', `"${place.name}" is a workflow: its nodes end, each by itself`, {
        hint: 'set the time to live of one of its nodes, or ttl at the workflow in the file, which holds for all of them',
      });
    return place;
  }

  return {
    /** Sets when the environment or the node destroys itself, while it runs too. */
    async setTtl({ actor, ref, ttl }: OnEnvironment & { ttl: Ttl }): Promise<Environment> {
      const place = await forChange({ actor, ref });
      const expiresAtMs = await expiryUnder(context, place.environment, ttl);
      return saveSettings(context, {
        actor,
        ...place,
        settings: (saved) => ({ ...saved, ttl }),
        expiresAtMs: expiresAtMs ?? null,
        action: 'environment.ttl',
      });
    },

    /** Puts the present end off; the saved time to live, which counts anew with each deploy, stays. */
    async extendTtl({ actor, ref, hours }: OnEnvironment & { hours: number }): Promise<Environment> {
      const place = await forChange({ actor, ref });
      const { environment, name } = place;
      if (environment.expiresAt === null) {
        throw new WindlassError('conflict', `"${name}" has no end that could be put off`, {
          hint: `set one: windlass ttl set ${name} 8h`,
        });
      }
      const from = Math.max(Date.parse(environment.expiresAt), context.clock());
      const expiresAtMs = from + hours * 3_600_000;
      const limits = await scopeTtlSettings(db.sql, environment.projectId);
      const deployed = await deployedAt(context, environment);
      const latest = deployed === null ? null : expiryAfterDeploy({ kind: 'unlimited' }, deployed, limits);
      if (latest !== null && expiresAtMs > latest) {
        throw new WindlassError(
          'conflict',
          `"${name}" may live until ${new Date(latest).toISOString()} at most: ${limits.maximumTtlHours ?? 0} hours after its deploy`,
          {
            hint: 'deploy it again, or have the maximum of the project raised',
          },
        );
      }
      return saveSettings(context, {
        actor,
        ...place,
        settings: (saved) => saved,
        expiresAtMs,
        action: 'environment.ttl.extend',
      });
    },
  };
}
