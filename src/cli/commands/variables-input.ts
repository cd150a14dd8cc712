import { variableInputSchema, variableNameSchema } from '../../model/index.ts';
import type { VariableInput, VariableKind, VariableType, VariableValue } from '../../model/index.ts';
import { usageError } from '../exit.ts';
import type { SecretReader } from './shared.ts';

export interface VariableFlags {
  readonly var?: readonly string[] | undefined;
  readonly env?: readonly string[] | undefined;
  readonly secret?: readonly string[] | undefined;
  readonly secretEnv?: readonly string[] | undefined;
}

/** The parts of `[NODE/]NAME=VALUE`, or of `NAME:=JSON` for values that are not text. */
export interface Assignment {
  readonly alias: string | undefined;
  readonly name: string;
  readonly type: VariableType;
  readonly value: VariableValue;
}

/** Reads one assignment. `flag` is the option it was given with, for messages. */
export function parseAssignment(text: string, flag: string): Assignment {
  const equals = text.indexOf('=');
  if (equals <= 0)
    throw usageError(
      `${flag} ${text}: expected NAME=VALUE`,
      `text: ${flag} region=eu   number, list…: ${flag} 'zones:=["a","b"]'   one node: ${flag} eks/size=3`,
    );
  const typed = text[equals - 1] === ':';
  const target = text.slice(0, typed ? equals - 1 : equals);
  const raw = text.slice(equals + 1);
  const { alias, name } = parseName(target, flag);
  if (!typed) return { alias, name, type: 'text', value: raw };
  const value = parseValue(raw, `${flag} ${target}`);
  return { alias, name, type: typeOf(value), value };
}

/** `NODE/NAME` or `NAME`; an alias may hold slashes, a name may not. */
export function parseName(target: string, flag: string): { readonly alias: string | undefined; readonly name: string } {
  const slash = target.lastIndexOf('/');
  const name = target.slice(slash + 1);
  const parsed = variableNameSchema.safeParse(name);
  if (!parsed.success)
    throw usageError(
      `${flag} ${target}: "${name}" is not a name of a variable: ${parsed.error.issues[0]?.message ?? ''}`,
    );
  return { alias: slash > 0 ? target.slice(0, slash) : undefined, name };
}

export function parseValue(raw: string, place: string): VariableValue {
  try {
    return JSON.parse(raw) as VariableValue;
  } catch {
    throw usageError(`${place}: what follows := is not JSON`, 'quote it for the shell: \'zones:=["a","b"]\'');
  }
}

export function typeOf(value: VariableValue): VariableType {
  if (typeof value === 'number') return 'number';
  if (typeof value === 'boolean') return 'boolean';
  if (Array.isArray(value)) return 'list';
  return typeof value === 'object' && value !== null ? 'map' : 'text';
}

/**
 * Variables of one run from its flags. Values of secrets come from the environment or standard input and never from
 * arguments, which every user of the machine can read. `node` limits those without a node of their own.
 */
export async function readVariables(
  flags: VariableFlags,
  node: string | undefined,
  readSecrets: SecretReader,
): Promise<VariableInput[]> {
  const variables: VariableInput[] = [];
  const add = (assignment: Assignment, kind: VariableKind, sensitive: boolean): void => {
    const { name, type, value } = assignment;
    const alias = assignment.alias ?? node;
    variables.push(
      variableInputSchema.parse({ name, kind, type, value, sensitive, ...(alias === undefined ? {} : { alias }) }),
    );
  };
  for (const text of flags.var ?? []) add(parseAssignment(text, '--var'), 'tool', false);
  for (const text of flags.env ?? []) add(parseAssignment(text, '--env'), 'environment', false);
  const secrets: { readonly target: ReturnType<typeof parseName>; readonly kind: VariableKind }[] = [];
  for (const [names, kind, flag] of [
    [flags.secret, 'tool', '--secret'],
    [flags.secretEnv, 'environment', '--secret-env'],
  ] as const) {
    for (const target of names ?? []) {
      if (target.includes('=')) {
        throw usageError(
          `${flag} takes a name alone: a value in the arguments can be read by everyone on this machine`,
          `set the environment variable, or pipe the value in`,
        );
      }
      secrets.push({ target: parseName(target, flag), kind });
    }
  }
  const values = await readSecrets(secrets.map(({ target }) => target.name));
  secrets.forEach(({ target, kind }, index) =>
    add({ ...target, type: 'text', value: values[index] ?? '' }, kind, true),
  );
  return variables;
}
