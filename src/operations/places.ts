import type { Environment, Scope } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { findEnvironment, getEnvironment } from '../store/index.ts';
import type { Db } from '../store/index.ts';
import type { EntityTarget } from './temporal-gateway.ts';

/** An environment, and the one whose queue its runs go through. */
export interface Place {
  readonly environment: Environment;
  /** The parent of a node of a graph; else the environment itself. */
  readonly root: Environment;
  /** Its alias in the graph; null when it stands alone. */
  readonly alias: string | null;
  /** `shop` or `shop/eks`. */
  readonly name: string;
}

/** Finds an environment by name or id, with its parent when it is a node. Throws `notFound` or `ambiguous`. */
export async function findPlace(db: Db, reference: string, scope: Scope): Promise<Place> {
  const environment = await findEnvironment(db, reference, scope);
  const { parentId, alias } = environment;
  if (parentId === null || alias === null || environment.flags.detached) {
    return { environment, root: environment, alias: null, name: environment.name };
  }
  const root = await getEnvironment(db, parentId);
  return { environment, root, alias, name: `${root.name}/${alias}` };
}

/** Throws `conflict` for a node: what is asked is settled on its parent. */
export function requireRoot(place: Place, what: string): Environment {
  if (place.alias === null) return place.environment;
  throw new WindlassError(
    'conflict',
    `"${place.name}" is a node of "${place.root.name}"; ${what} is set on the whole environment`,
    {
      hint: `ask for "${place.root.name}"`,
    },
  );
}

/** Throws `conflict` for an archived environment. */
export function requirePresent(place: Place): void {
  if (place.environment.flags.archived || place.root.flags.archived) {
    throw new WindlassError('conflict', `"${place.name}" is archived`, { hint: 'create it anew' });
  }
}

/** Throws `locked` with who locked it and why. */
export function requireUnlocked(place: Place): void {
  for (const { name, flags } of [place.root, place.environment]) {
    if (flags.lock === null) continue;
    const { by, reason, at } = flags.lock;
    throw new WindlassError('locked', `"${name}" is locked by ${by} since ${at}: ${reason}`, {
      hint: `unlock it first: windlass environment unlock ${name}`,
    });
  }
}

/** The environment's workflow as the gateway wants it. */
export function entityOf(root: Environment): EntityTarget {
  return {
    id: root.id,
    projectId: root.projectId,
    name: root.name,
    lock: root.flags.lock,
    expiresAtMs: root.expiresAt === null ? null : Date.parse(root.expiresAt),
  };
}
