/** Pieces for single values: texts, numbers, durations, crons, patterns, and one of several words. */
import { cronProblem, timezoneProblem } from './cron.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { interpolate } from './interpolation.ts';
import { patternProblem } from './pattern.ts';
import type { Issues, Part, Piece, Reading, Suggest } from './schema.ts';
import { addIssue, addTypeIssue, derived, inner, piece } from './schema.ts';
import { listed, quote } from './text.ts';
import { describeNode } from './yaml-tree.ts';

/** Whatever stands there, as it is. */
export const anything: Piece<Part> = piece((part) => part);

/** Text; a number counts as it is written (`1.10`). Nothing is put into it. */
export const plainText: Piece<string> = piece(({ node }, issues) => {
  if (node.kind === 'scalar' && (typeof node.value === 'string' || typeof node.value === 'number')) return node.text;
  if (node.kind === 'scalar' && typeof node.value === 'boolean')
    return addIssue(issues, (name) => `${name} has to be text; put quotes around ${node.text}`);
  return addTypeIssue(issues, node, 'text');
});

interface TextOptions {
  readonly longest?: number;
  readonly mayBeEmpty?: boolean;
}

/** Text in which `${VAR}` may stand. */
export function text(options: TextOptions = {}): Piece<string> {
  return withVariables(derived(plainText, (found, part, issues) => boundedText(found, { part, issues, ...options })));
}

function boundedText(
  found: string,
  options: TextOptions & { readonly part: Part; readonly issues: Issues },
): string | undefined {
  const { part, issues, longest = 1000, mayBeEmpty = false } = options;
  const { written } = part;
  if (found.trim() === '' && !mayBeEmpty) {
    const when = written === undefined || written === found ? '' : ` once ${quote(written)} is resolved`;
    return addIssue(issues, (name) => `${name} is empty${when}`);
  }
  if (found.length > longest)
    return addIssue(issues, (name) => `${name} has ${found.length} characters; at most ${longest} are allowed`);
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(found))
    return addIssue(issues, (name) => `${name} holds a control character`);
  return found;
}

/**
 * Has `schema` read a text with its `${VAR}` resolved, when the variables are known. Otherwise they stay open: `schema` reads
 * the text with them in it, or `whenOpen` is the value.
 */
export function withVariables<T>(schema: Piece<T>, whenOpen?: T): Piece<T> {
  return piece(
    (part, issues) => {
      const { node, reading } = part;
      if (node.kind !== 'scalar' || typeof node.value !== 'string' || !node.value.includes('${'))
        return inner(schema, part, { issues });
      const { text: value, unresolved, problems } = interpolate(node.value, reading.variables);
      for (const problem of problems) addIssue(issues, (name) => `${name}: ${problem}`);
      if (reading.variables !== undefined)
        for (const variable of unresolved) addUnresolvedIssue(issues, variable, reading);
      if (problems.length > 0 || (reading.variables !== undefined && unresolved.length > 0)) return undefined;
      if (whenOpen !== undefined && unresolved.length > 0) return whenOpen;
      return inner(schema, { ...part, node: { ...node, value, text: value }, written: node.value }, { issues });
    },
    { choose: () => schema },
  );
}

/** Raises that a variable of a text is not there. */
export function addUnresolvedIssue(
  issues: Issues,
  variable: string,
  { variables = {}, secrets = {}, position }: Pick<Reading, 'variables' | 'secrets'> & Parameters<typeof addIssue>[2],
): undefined {
  const why = (suggest: Suggest): string =>
    Object.hasOwn(secrets, variable)
      ? 'is sensitive; only values under variables can use it, since this one is shown'
      : `has no value${suggest(variable, Object.keys(variables)) || '; set the environment variable, or correct the name'}`;
  return addIssue(issues, (name, suggest) => `${name}: \${${variable}} ${why(suggest)}`, { position });
}

export const boolean: Piece<boolean> = piece(({ node }, issues) => {
  if (node.kind === 'scalar' && typeof node.value === 'boolean') return node.value;
  const meant = node.kind === 'scalar' && /^(yes|no|on|off|true|false)$/i.test(node.text);
  const why = meant ? ` (without quotes; ${quote(node.text)} is text)` : `, not ${describeNode(node)}`;
  return addIssue(issues, (name) => `${name} has to be true or false${why}`);
});

/** A boolean, or a text that is one once its variables are resolved; an open one counts as false. */
export const flag: Piece<boolean> = withVariables(
  piece((part, issues) => {
    const { node, written } = part;
    if (node.kind !== 'scalar' || typeof node.value !== 'string') return inner(boolean, part, { issues });
    const found = boundedText(node.value, { part, issues });
    if (found === undefined) return undefined;
    if (/^(true|false)$/i.test(found.trim())) return found.trim().toLowerCase() === 'true';
    const gives = written === undefined ? `is ${quote(found)}` : `is ${quote(written)}, which gives ${quote(found)}`;
    return addIssue(
      issues,
      (name) => `${name} ${gives}; it has to be true, false or a \${VARIABLE} that is one of them`,
    );
  }),
  false,
);

export function integer(minimum: number, maximum: number): Piece<number> {
  return piece(({ node }, issues) => {
    if (node.kind !== 'scalar' || typeof node.value !== 'number' || !Number.isInteger(node.value))
      return addTypeIssue(issues, node, 'a whole number');
    if (node.value >= minimum && node.value <= maximum) return node.value;
    return addIssue(issues, (name) => `${name} is ${node.text}; it has to be between ${minimum} and ${maximum}`);
  });
}

/** A number with decimals. */
export function decimal(minimum: number, maximum: number): Piece<number> {
  return piece(({ node }, issues) => {
    if (node.kind === 'scalar' && typeof node.value === 'number' && node.value >= minimum && node.value <= maximum)
      return node.value;
    return addIssue(issues, (name) => `${name} has to be a number between ${minimum} and ${maximum}`);
  });
}

export function oneOf<T extends string>(choices: readonly T[]): Piece<T> {
  return derived(plainText, (found, _, issues) => {
    const told = `${quote(found)}; it has to be ${listed(choices, 'or', 40)}`;
    const choice = choices.find((each) => each === found);
    return choice ?? addIssue(issues, (name, suggest) => `${name} is ${told}${suggest(found, choices)}`);
  });
}

/** A duration such as `1h30m`, in seconds. */
export function duration(minimum: number, maximum: number): Piece<number> {
  return derived(plainText, (found, _, issues) => {
    const { seconds, problem } = parseDuration(found);
    if (problem !== null) return addIssue(issues, (name) => `${name}: ${problem}`);
    if (seconds < minimum) return addIssue(issues, (name) => `${name} is ${found}; it has to be at least ${minimum}s`);
    if (seconds <= maximum) return seconds;
    return addIssue(issues, (name) => `${name} is ${found}; at most ${formatDuration(maximum)} are allowed`);
  });
}

/** A check for zod's `check`: raises what a function says of a text, right after its name. */
export function judge(problemOf: (found: string) => string | undefined) {
  return ({ value, issues }: { readonly value: string; readonly issues: Issues }): void => {
    const problem = problemOf(value);
    if (problem !== undefined) addIssue(issues, (name) => `${name}${problem}`);
  };
}

/** What `judge` takes, from a function that answers with a sentence, or null. */
export function sentence(problemOf: (found: string) => string | null) {
  return (found: string): string | undefined => {
    const problem = problemOf(found);
    return problem === null ? undefined : `: ${problem}`;
  };
}

export const cron = derived(plainText.check(judge(sentence(cronProblem))), (found) =>
  found.trim().replace(/[ \t]+/g, ' '),
);
export const timezone = plainText.check(judge(sentence(timezoneProblem)));
/** A regular expression. */
export const pattern = plainText.check(judge(sentence(patternProblem)));
