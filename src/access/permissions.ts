import type { Actor, Permission, Scope } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { readGrants } from './grants.ts';

/** An actor with what was granted to it. */
export interface Principal extends Actor {
  /** As they are stored and shown: `*`, a permission, or a permission in one project (`execute@prj_x`); see grants.ts. */
  readonly permissions: readonly string[];
}

/** What something is done to, as far as grants tell things apart. */
export interface Resource {
  /** Absent for what belongs to no project. */
  readonly projectId?: string | undefined;
}

/** Windlass itself: timers, schedules and the reconciliation. */
export const systemPrincipal: Principal = {
  kind: 'system',
  id: 'windlass',
  name: 'Windlass',
  from: null,
  permissions: ['*'],
};

/** Whether a principal may do something. Whoever may do anything to a thing may see it, so every grant carries `view`. */
export function can({ permissions }: Principal, permission: Permission, { projectId }: Resource = {}): boolean {
  return readGrants(permissions).some(
    ({ permission: granted, projects }) =>
      (projects === 'all' || (projectId !== undefined && projects.includes(projectId))) &&
      (granted === '*' || granted === permission || permission === 'view'),
  );
}

/** Whoever may do everything: what concerns the whole installation and its secrets is theirs alone. */
export function isAdministrator({ permissions }: Principal): boolean {
  return readGrants(permissions).some(({ permission, projects }) => permission === '*' && projects === 'all');
}

/** What a principal may see: all, or the projects in which it may do anything. The one place that says so. */
export function visibleProjects({ permissions }: Principal): Scope {
  const grants = readGrants(permissions);
  if (grants.some(({ projects }) => projects === 'all')) return 'all';
  return [...new Set(grants.flatMap(({ projects }) => projects))];
}

/** Throws `forbidden` that names what is missing. */
export function requirePermission(principal: Principal, permission: Permission, resource: Resource = {}): void {
  if (can(principal, permission, resource)) return;
  const { projectId } = resource;
  throw new WindlassError(
    'forbidden',
    `${principal.name} may not do this: the permission "${permission}"${projectId === undefined ? '' : ` in ${projectId}`} is missing`,
    {
      hint: `ask an administrator for a key that has it: windlass key create NAME --permission ${permission}${projectId === undefined ? '' : `@${projectId}`}`,
    },
  );
}
