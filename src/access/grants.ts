/** What is granted to somebody: texts as they are stored and shown, and what they mean. */
import type { Permission } from '../model/index.ts';
import { permissions, WindlassError } from '../model/index.ts';

export interface Grant {
  /** `*`: every permission. */
  readonly permission: Permission | '*';
  /** Ids of projects. */
  readonly projects: 'all' | readonly string[];
}

/** The meaning of a stored grant such as `*`, `view` or `execute@prj_x`; null when it has none. */
export function readGrant(text: string): Grant | null {
  if (text === '*') return { permission: '*', projects: 'all' };
  const [permission = '', project, ...more] = text.split('@');
  if (!isPermission(permission) || project === '' || more.length > 0) return null;
  return { permission, projects: project === undefined ? 'all' : [project] };
}

/** Grants as they are stored. One that means nothing grants nothing: it must not shut its owner out of the rest. */
export function readGrants(texts: readonly string[]): Grant[] {
  return texts.flatMap((text) => readGrant(text) ?? []);
}

/** Checks a grant that is about to be given, and answers it. Throws `invalidInput` when it would mean nothing. */
export function checkGrant(text: string): string {
  const grant = readGrant(text);
  if (grant === null) {
    throw new WindlassError(
      'invalidInput',
      `there is no permission "${text}"; there are * and ${permissions.join(', ')}, each also as permission@project`,
    );
  }
  if (grant.permission === 'organization.manage' && grant.projects !== 'all') {
    throw new WindlassError(
      'invalidInput',
      `"${text}" would have no effect: the organization is not in a project; there is project.manage@${grant.projects.join()}`,
    );
  }
  return text;
}

function isPermission(text: string): text is Permission {
  return (permissions as readonly string[]).includes(text);
}
