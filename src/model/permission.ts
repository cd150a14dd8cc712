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
