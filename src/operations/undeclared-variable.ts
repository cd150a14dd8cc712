import type { Environment, VariableInput } from '../model/index.ts';
import { WindlassError, deploymentRequestSchema } from '../model/index.ts';
import { getEnvironment } from '../store/index.ts';
import type { Context } from './context.ts';

/**
 * What is worth a word when a variable of the tool is stored for an environment: that no node declares it, with the
 * nearest name. A warning only: the code that declares it may come later. null when all is well, or cannot be told.
 */
export async function undeclaredWarning(
  { db, resolver }: Context,
  environment: Environment,
  { name, kind, alias }: VariableInput,
): Promise<string | null> {
  if (resolver === undefined || kind !== 'tool') return null;
  const isNode = environment.parentId !== null && !environment.flags.detached;
  const root =
    isNode && environment.parentId !== null ? await getEnvironment(db.sql, environment.parentId) : environment;
  const node = alias ?? (isNode ? environment.alias : null);
  const variable = { name, kind, type: 'text', value: '', ...(node === null ? {} : { alias: node }) };
  // A plan that is given the variable says whether it may be: the rule is the same.
  const request = deploymentRequestSchema.parse({ type: 'plan', variables: [variable] });
  try {
    await resolver.resolve({ environmentId: root.id, type: 'plan', request, pending: true });
    return null;
  } catch (thrown) {
    if (!(thrown instanceof WindlassError)) return null;
    return thrown.problems?.find(({ path }) => path === 'variables[0].name')?.message ?? null;
  }
}
