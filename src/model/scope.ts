/**
 * What somebody may see: everything, or what belongs to the projects with these ids. Every look-up by a name or id that
 * comes from outside takes one, so that what may not be seen is neither found, nor listed, nor named in an error.
 */
export type Scope = 'all' | readonly string[];

/** The scope within one project: nothing when that one may not be seen. */
export function within(scope: Scope, projectId: string | undefined): Scope {
  if (projectId === undefined) return scope;
  return scope === 'all' || scope.includes(projectId) ? [projectId] : [];
}
