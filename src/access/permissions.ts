import type { Actor } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';

/** What somebody may do. `execute` is deploy, destroy and what belongs to it. */
export const permissions = [
  'organization.manage',
  'project.manage',
  'view',
  'plan',
  'execute',
  'approve',
  'abort',
  'rollback',
] as const;
export type Permission = (typeof permissions)[number];

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
  if (grant === '*' || ((permissions as readonly string[]).includes(permission) && project !== '' && more.length === 0))
    return grant;
  throw new WindlassError(
    'invalidInput',
    `there is no permission "${grant}"; there are * and ${permissions.join(', ')}, each also as permission@project-id`,
  );
}

export function allows(principal: Principal, permission: Permission, projectId?: string): boolean {
  return principal.permissions.some(
    (grant) =>
      grant === '*' || grant === permission || (projectId !== undefined && grant === `${permission}@${projectId}`),
  );
}

/** Flags of `key create`; whoever may do something has to see it, too. */
function grantsFor(permission: Permission, projectId: string | undefined): string {
  const wanted: readonly Permission[] = permission === 'view' ? ['view'] : ['view', permission];
  return wanted.map((one) => `--permission ${one}${projectId === undefined ? '' : `@${projectId}`}`).join(' ');
}

/** Throws `forbidden` that names what is missing. */
export function requirePermission(principal: Principal, permission: Permission, projectId?: string): void {
  if (allows(principal, permission, projectId)) return;
  throw new WindlassError(
    'forbidden',
    `${principal.name} may not do this: the permission "${permission}"${projectId === undefined ? '' : ` in ${projectId}`} is missing`,
    {
      hint: `ask an administrator for a key that has it: windlass key create NAME ${grantsFor(permission, projectId)}`,
    },
  );
}
