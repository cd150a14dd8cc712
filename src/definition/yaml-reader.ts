/** Reading values out of a YAML tree, with every mismatch as a problem at its place. */
import type { Position, VariableValue } from '../model/index.ts';
import { parseDuration } from './duration.ts';
import { interpolate } from './interpolation.ts';
import type { ProblemList } from './problems.ts';
import { listed, quote } from './text.ts';
import type { YamlEntry, YamlMap, YamlNode } from './yaml-tree.ts';
import { describeNode } from './yaml-tree.ts';

/** What reading needs to know about the file. */
export interface ReaderContext {
  readonly problems: ProblemList;
  /** Absent: `${VAR}` stays open. */
  readonly variables: Readonly<Record<string, string>> | undefined;
  /** Sensitive ones; only values of variables may use them, which are then sensitive too. */
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

/** The values of a mapping by key. Absent and empty (`key:` and nothing more) are the same. */
export type Fields = ReadonlyMap<string, YamlEntry>;

export function isAbsent(node: YamlNode | undefined): boolean {
  return node === undefined || (node.kind === 'scalar' && node.value === null);
}

/** Reads a mapping with known keys. `what` is its name in messages: `settings`, `sub-environment "db"`. */
export function readFields(
  context: ReaderContext,
  node: YamlNode,
  options: {
    readonly what: string;
    readonly known: readonly string[];
    readonly elsewhere?: (key: string) => string | undefined;
  },
): Fields {
  const fields = new Map<string, YamlEntry>();
  const map = readMap(context, node, options.what);
  if (map === null) return fields;
  for (const entry of map.entries) {
    if (options.known.includes(entry.key)) {
      if (!isAbsent(entry.value)) fields.set(entry.key, entry);
      continue;
    }
    const hint = options.elsewhere?.(entry.key) ?? context.problems.suggest(entry.key, options.known);
    context.problems.add(
      entry.keyPosition,
      `unknown key ${quote(entry.key)} in ${options.what}${hint || `; known ${options.known.length === 1 ? 'is' : 'are'} ${listed(options.known, 'and', 16)}`}`,
    );
  }
  return fields;
}

export function readMap(context: ReaderContext, node: YamlNode, what: string): YamlMap | null {
  if (node.kind === 'map') return node;
  return wrong(context, node, what, 'a mapping');
}

/** Says that a value has the wrong type. */
export function wrong(context: ReaderContext, node: YamlNode, what: string, expected: string): null {
  context.problems.add(node.position, `${what} has to be ${expected}, not ${describeNode(node)}`);
  return null;
}

/** Text; a number counts as it is written (`1.10`). Nothing is interpolated. */
export function readPlain(context: ReaderContext, node: YamlNode, what: string): string | null {
  if (node.kind === 'scalar' && (typeof node.value === 'string' || typeof node.value === 'number')) return node.text;
  if (node.kind === 'scalar' && typeof node.value === 'boolean') {
    context.problems.add(node.position, `${what} has to be text; put quotes around ${node.text}`);
    return null;
  }
  return wrong(context, node, what, 'text');
}

/** Text in which `${VAR}` is resolved when the variables are known. */
export function readText(
  context: ReaderContext,
  node: YamlNode,
  options: { readonly what: string; readonly longest?: number; readonly mayBeEmpty?: boolean },
): string | null {
  const plain = readPlain(context, node, options.what);
  return plain === null ? null : resolveText(context, plain, { ...options, position: node.position });
}

export function resolveText(
  context: ReaderContext,
  plain: string,
  options: {
    readonly what: string;
    readonly position: Position;
    readonly longest?: number;
    readonly mayBeEmpty?: boolean;
  },
): string | null {
  const { problems, variables } = context;
  const { what, position } = options;
  const { text, unresolved: open, problems: broken } = interpolate(plain, variables);
  for (const message of broken) problems.add(position, `${what}: ${message}`);
  if (variables !== undefined) {
    for (const name of open) problems.add(position, unresolved(context, { what, name }));
    if (open.length > 0) return null;
  }
  if (broken.length > 0) return null;
  if (text.trim() === '' && options.mayBeEmpty !== true) {
    problems.add(position, plain === text ? `${what} is empty` : `${what} is empty once ${quote(plain)} is resolved`);
    return null;
  }
  const longest = options.longest ?? 1000;
  if (text.length > longest) {
    problems.add(position, `${what} has ${text.length} characters; at most ${longest} are allowed`);
    return null;
  }
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) {
    problems.add(position, `${what} holds a control character`);
    return null;
  }
  return text;
}

/** Says that a variable of a text is not there. */
export function unresolved(
  { problems, variables = {}, secrets = {} }: ReaderContext,
  { what, name }: { readonly what: string; readonly name: string },
): string {
  if (Object.hasOwn(secrets, name))
    return `${what}: \${${name}} is sensitive; only values under variables can use it, since this one is shown`;
  const hint = problems.suggest(name, Object.keys(variables)) || '; set the environment variable, or correct the name';
  return `${what}: \${${name}} has no value${hint}`;
}

export function readBoolean(context: ReaderContext, node: YamlNode, what: string): boolean | null {
  if (node.kind === 'scalar' && typeof node.value === 'boolean') return node.value;
  const hint =
    node.kind === 'scalar' && /^(yes|no|on|off|true|false)$/i.test(node.text)
      ? ` (without quotes; ${quote(node.text)} is text)`
      : '';
  context.problems.add(node.position, `${what} has to be true or false${hint || `, not ${describeNode(node)}`}`);
  return null;
}

export function readInteger(
  context: ReaderContext,
  node: YamlNode,
  options: { readonly what: string; readonly minimum: number; readonly maximum: number },
): number | null {
  const { what, minimum, maximum } = options;
  if (node.kind !== 'scalar' || typeof node.value !== 'number' || !Number.isInteger(node.value))
    return wrong(context, node, what, 'a whole number');
  if (node.value < minimum || node.value > maximum) {
    context.problems.add(node.position, `${what} is ${node.text}; it has to be between ${minimum} and ${maximum}`);
    return null;
  }
  return node.value;
}

export function readOneOf<T extends string>(
  context: ReaderContext,
  node: YamlNode,
  options: { readonly what: string; readonly choices: readonly T[] },
): T | null {
  const { what, choices } = options;
  const text = readPlain(context, node, what);
  if (text === null) return null;
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  context.problems.add(
    node.position,
    `${what} is ${quote(text)}; it has to be ${listed(choices, 'or', 40)}${context.problems.suggest(text, choices)}`,
  );
  return null;
}

/** A duration in seconds. */
export function readDuration(
  context: ReaderContext,
  node: YamlNode,
  options: { readonly what: string; readonly minimum: number; readonly maximum: number },
): number | null {
  const { what, minimum, maximum } = options;
  const text = readPlain(context, node, what);
  if (text === null) return null;
  const { seconds, problem } = parseDuration(text);
  if (problem !== null) context.problems.add(node.position, `${what}: ${problem}`);
  else if (seconds < minimum)
    context.problems.add(node.position, `${what} is ${text}; it has to be at least ${minimum}s`);
  else if (seconds > maximum)
    context.problems.add(node.position, `${what} is ${text}; at most ${Math.floor(maximum / 86_400)}d are allowed`);
  else return seconds;
  return null;
}

export interface TextItem {
  readonly text: string;
  readonly position: Position;
}

/** A list of texts. Items that are none are reported and left out. */
export function readTexts(
  context: ReaderContext,
  node: YamlNode,
  options: { readonly what: string; readonly example: string },
): TextItem[] {
  const { what, example } = options;
  if (node.kind !== 'list') {
    wrong(context, node, what, `a list, such as ${example}`);
    return [];
  }
  return node.items.flatMap((item) => {
    const text = readPlain(context, item, `an item of ${what}`);
    return text === null ? [] : [{ text, position: item.position }];
  });
}

/** A value as JSON, with every text in it as `onText` gives it. Keys such as `__proto__` become plain own properties. */
export function readJson(
  context: ReaderContext,
  node: YamlNode,
  what: string,
  onText: (text: string, position: Position) => string = (text) => text,
): VariableValue | undefined {
  switch (node.kind) {
    case 'scalar':
      if (
        typeof node.value === 'number' &&
        (!Number.isFinite(node.value) || (Number.isInteger(node.value) && !Number.isSafeInteger(node.value)))
      ) {
        context.problems.add(
          node.position,
          `${what} holds the number ${node.text}, which cannot be kept exactly; put it in quotes`,
        );
        return undefined;
      }
      return typeof node.value === 'string' ? onText(node.value, node.position) : node.value;
    case 'list':
      return node.items.map((item) => readJson(context, item, what, onText) ?? null);
    case 'map':
      return Object.fromEntries(
        node.entries.map((entry) => [entry.key, readJson(context, entry.value, what, onText) ?? null]),
      );
  }
}
