import { can } from '../access/index.ts';
import { steersTools } from '../definition/index.ts';
import type { Actor, VariableInput } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { isToolVariable } from '../tools/catalogue.ts';
import { principalOf } from './context.ts';

/** Throws `forbidden` when one of the variables steers tools and the actor may not manage the project. */
export function requireSteering(
  actor: Actor,
  projectId: string,
  variables: readonly { readonly name: string; readonly kind: VariableInput['kind']; readonly path: string }[],
): void {
  if (can(principalOf(actor), 'project.manage', { projectId })) return;
  const steering = variables.filter(({ kind, name }) => kind === 'environment' && steersTools(name));
  const [first] = steering;
  if (first === undefined) return;
  throw new WindlassError(
    'forbidden',
    `${actor.name} may not set "${first.name}": it decides what tools run, which takes the permission "project.manage"`,
    {
      problems: steering.map(({ name, path }) => ({ path, message: `"${name}" decides what tools run` })),
      hint: 'leave it out, or have somebody who manages the project set it',
    },
  );
}

/** Set by Windlass for tools, so that a variable of this name would not reach one or would break the run. */
const isReserved = (name: string): boolean => name.startsWith('WINDLASS_') || isToolVariable('reserved', name);

/** Why a variable cannot have this name, kind and type, as a sentence without its name; null when it can. */
export function variableNameProblem({
  name,
  kind,
  type,
}: Pick<VariableInput, 'name' | 'kind' | 'type'>): string | null {
  if (kind !== 'environment') return null;
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    return 'cannot be an environment variable: its name may hold letters, digits and _ only';
  if (isReserved(name)) return 'cannot be an environment variable: Windlass sets it itself';
  if (type === 'list' || type === 'map')
    return `cannot be an environment variable: a process environment holds no ${type}s; use text, or a tool variable`;
  return null;
}
