import type { Actor, Permission, Scope } from '../model/index.ts';
import { permissions, WindlassError } from '../model/index.ts';

/** An actor with what was granted to it: `*`, a permission, or a permission in one project (`execute@prj_x`). */
export interface Principal extends Actor {
  readonly permissions: readonly string[];
}

/** Windlass itself: timers, schedules and the reconciliation. */
export const systemPrincipal: Principal = {
  kind: 'system',
  id: 'windlass',
  name: 'Windlass',
  from: null,
  permissions: ['*'],
};

/** Parses a granted permission. Throws `invalidInput` when there is no such permission. */
export function checkGrant(grant: string): string {
  const [permission = '', project, ...more] = grant.split('@');
  const known = (permissions as readonly string[]).includes(permission) && project !== '' && more.length === 0;
  if (permission === 'organization.manage' && known && project !== undefined) {
    throw new WindlassError(
      'invalidInput',
      `"${grant}" would have no effect: the organization is not in a project; there is project.manage@${project}`,
    );
  }
  if (grant === '*' || known) return grant;
  throw new WindlassError(
    'invalidInput',
    `there is no permission "${grant}"; there are * and ${permissions.join(', ')}, each also as permission@project`,
  );
}

/** Whoever may do something may see what it is done to, so every permission carries `view`. */
export function allows(principal: Principal, permission: Permission, projectId?: string): boolean {
  return principal.permissions.some((grant) => {
    const [granted, project] = grant.split('@');
    if (project !== undefined && project !== projectId) return false;
    return granted === '*' || granted === permission || permission === 'view';
  });
}

/** What a principal may see: all, or the projects in which it may do anything. The one place that says so. */
export function visibleProjects(principal: Principal): Scope {
  const projects = new Set<string>();
  for (const grant of principal.permissions) {
    const [, project] = grant.split('@');
    if (project === undefined) return 'all';
    projects.add(project);
  }
  return [...projects];
}

/** Throws `forbidden` that names what is missing. */
export function requirePermission(principal: Principal, permission: Permission, projectId?: string): void {
  if (allows(principal, permission, projectId)) return;
  throw new WindlassError(
    'forbidden',
    `${principal.name} may not do this: the permission "${permission}"${projectId === undefined ? '' : ` in ${projectId}`} is missing`,
    {
      hint: `ask an administrator for a key that has it: windlass key create NAME --permission ${permission}${projectId === undefined ? '' : `@${projectId}`}`,
    },
  );
}
