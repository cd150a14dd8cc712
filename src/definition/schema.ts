/**
 * What schemas of files are made of: zod schemas whose input is a part of the YAML tree. They raise zod issues with the path
 * to what is wrong; read() finds its place and its name there, so that no piece needs to know where it stands.
 */
import { z } from 'zod';
import type { Position } from '../model/index.ts';
import type { ProblemList } from './problems.ts';
import type { YamlEntry, YamlMap, YamlNode } from './yaml-tree.ts';
import { describeNode, isAbsent } from './yaml-tree.ts';

/** What reading needs to know beside the file. */
export interface Reading {
  readonly problems: ProblemList;
  /** Absent: `${VAR}` stays open. */
  readonly variables?: Readonly<Record<string, string>> | undefined;
  /** Sensitive ones; only values of variables may use them, which are then sensitive too. */
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  /** Where the file lies inside its source; code beside it is reached from there. */
  readonly directory?: string | undefined;
}

/** A value of the file, as a piece gets it. Instead, `undefined` is a known key that is absent or empty (`key:` and nothing more). */
export interface Part {
  readonly node: YamlNode;
  readonly reading: Reading;
  /** For an item of `entries`: with its key, which whoever wrote the file has chosen. */
  readonly entry?: YamlEntry;
  /** The text of the file, when values of variables have been put into it since. */
  readonly written?: string;
}

export type Piece<T> = z.ZodType<T, Part | undefined>;
export type Issues = z.core.$ZodRawIssue[];

/** `; did you mean "eks"?`, or nothing. */
export type Suggest = ProblemList['suggest'];
/** Gets the name of what is wrong: `timeout of sub-environment "db"`. */
export type Message = (name: string, suggest: Suggest) => string;

export interface Where {
  /** From the piece that speaks to what is wrong; the value itself when absent. */
  readonly path?: readonly string[];
  /** The message gets the name of the piece that speaks, and not of what `path` leads to. */
  readonly whole?: boolean;
  /** The key rather than its value. */
  readonly at?: 'key';
  /** When it is inside of the value. */
  readonly position?: Position | undefined;
}

/** What an issue of ours carries. */
export type IssueText = Where & { readonly message: Message };

/** How a part of a value is called: by its key, the name of the value, and the name of what that is in. */
export type Naming = (key: string, name: string, outer: string) => string;

/** What read() has to know of a piece to find places and names in it. */
export interface Facts {
  /** The piece that reads this node in place of the registered one. */
  readonly choose?: (node: YamlNode) => z.core.$ZodType;
  readonly inside?: (key: string) => z.core.$ZodType | undefined;
  readonly naming?: Naming;
  readonly known?: readonly string[];
  readonly elsewhere?: ((key: string) => string | undefined) | undefined;
  readonly missing?: Readonly<Record<string, string>> | undefined;
  /** The keys are names of the user's own: what an item lacks is said at its key. */
  readonly open?: boolean;
}

// Not one of zod's registries: their types would have to go through those of all schemas.
const facts = new WeakMap<z.core.$ZodType, Facts>();

/** What is known of the piece that reads a node. */
export function factsOf(schema: z.core.$ZodType | undefined, node: YamlNode): Facts {
  if (schema === undefined) return {};
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)
    return factsOf(schema.unwrap() as z.core.$ZodType, node);
  const own = facts.get(schema);
  // A schema with a check is a copy of the one without.
  if (own === undefined) return factsOf(schema._zod.parent, node);
  return own.choose === undefined ? own : factsOf(own.choose(node), node);
}

/** A piece from a function, which is not called when the value is missing. It answers undefined when it has raised an issue. */
export function piece<T>(read: (part: Part, issues: Issues) => T | undefined, own: Facts = {}): Piece<T> {
  const schema = z.transform((part: Part | undefined, { issues }): T => {
    if (part === undefined) issues.push({ code: 'invalid_type', expected: 'nonoptional', input: undefined });
    // Broken parts are undefined, and what is around them leaves them out; read() promises nothing else.
    return (part === undefined ? undefined : read(part, issues)) as T;
  });
  facts.set(schema, own);
  return schema;
}

/** Raises an issue. */
export function addIssue(issues: Issues, message: Message, where: Where = {}): undefined {
  const said: IssueText = { message, ...where };
  issues.push({ code: 'custom', input: undefined, path: [...(where.path ?? [])], params: { said } });
}

/** Raises an issue of a mapping at one of its keys. */
export function addKeyIssue(issues: Issues, key: string, message: Message): undefined {
  return addIssue(issues, message, { path: [key], at: 'key', whole: true });
}

/** Raises that a value has the wrong type. */
export function addTypeIssue(issues: Issues, node: YamlNode, expected: string): undefined {
  return addIssue(issues, (name) => `${name} has to be ${expected}, not ${describeNode(node)}`);
}

/** Has another piece read a part, and takes over its issues. */
export function inner<T>(
  schema: z.ZodType<T>,
  part: unknown,
  { issues, key }: { readonly issues: Issues; readonly key?: string | number },
): T | undefined {
  // Issues of its own: a check of zod's does not run when there are any.
  const result = schema._zod.run({ value: part, issues: [] }, { async: false });
  if (result instanceof Promise) throw new Error('a schema of a file cannot wait');
  // One by one, since there can be more of them than a call takes arguments.
  for (const issue of result.issues) {
    if (key === undefined) issues.push(issue);
    else if (issue.path === undefined) issues.push({ ...issue, path: [key] });
    else {
      issue.path.unshift(key);
      issues.push(issue);
    }
  }
  return result.value as T | undefined;
}

/** The first piece for mappings, the second for the rest. */
export function either<T>(forMaps: Piece<T>, forOthers: Piece<T>): Piece<T> {
  return chosen((node) => (node.kind === 'map' ? forMaps : forOthers));
}

/** A single value that stands for a whole mapping: the first piece for it, the second for the mapping. */
export function shorthand<T>(short: Piece<T>, full: Piece<T>): Piece<T> {
  return chosen((node) => (node.kind === 'scalar' ? short : full));
}

/** Has the node decide by which piece it is read. */
export function chosen<T>(choose: (node: YamlNode) => Piece<T>): Piece<T> {
  return piece((part, issues) => inner(choose(part.node), part, { issues }), { choose });
}

/** Makes something else of what a piece reads. */
export function derived<T, U>(
  schema: Piece<T>,
  make: (value: T, part: Part, issues: Issues) => U | undefined,
): Piece<U> {
  return piece(
    (part, issues) => {
      const value = inner(schema, part, { issues });
      return value === undefined ? undefined : make(value, part, issues);
    },
    { choose: () => schema },
  );
}

/** Looks at a part before another piece reads it; what it answers is then the result instead. */
export function guarded<T>(schema: Piece<T>, guard: (part: Part, issues: Issues) => T | boolean): Piece<T> {
  return piece(
    (part, issues) => {
      const answer = guard(part, issues);
      if (answer === false) return undefined;
      return answer === true ? inner(schema, part, { issues }) : answer;
    },
    { choose: () => schema },
  );
}

type Shape = Readonly<Record<string, z.ZodType>>;
type FieldsOf<S extends Shape> = z.output<z.ZodObject<{ -readonly [K in keyof S]: S[K] }>>;
/** Fields of a mapping that may have problems: what is broken is left out. */
export type Fields<S extends Shape> = { readonly [K in keyof FieldsOf<S>]?: FieldsOf<S>[K] | undefined };

interface MappingOptions {
  /** `<key> of <name>` when absent. */
  readonly naming?: Naming;
  readonly expected?: string;
  /** How a message goes on that says that a key is missing: `; write "version: 2"`. */
  readonly missing?: Readonly<Record<string, string>> | undefined;
  /** How it goes on for an unknown key that belongs somewhere else. */
  readonly elsewhere?: (key: string) => string | undefined;
}

/** A mapping that has been read: for checks across its keys, and for what is made of it. */
export interface Found {
  readonly part: Part;
  readonly node: YamlMap;
  /** Those of the mapping so far, and of nothing around it. */
  readonly issues: Issues;
}

/** Several keys that are read alike. */
export function sameSchema<K extends string, T extends z.ZodType>(keys: readonly K[], schema: T): Record<K, T> {
  return Object.fromEntries(keys.map((key) => [key, schema])) as Record<K, T>;
}

/** A mapping with known keys. Without `finish`, one with a problem is undefined as a whole. */
export function mapping<S extends Shape>(shape: S, options?: MappingOptions): Piece<FieldsOf<S>>;
export function mapping<S extends Shape, T>(
  shape: S,
  options: MappingOptions,
  finish: (fields: Fields<S>, found: Found) => T | undefined,
): Piece<T>;
export function mapping<S extends Shape>(
  shape: S,
  options: MappingOptions = {},
  finish?: (fields: Fields<S>, found: Found) => unknown,
): Piece<unknown> {
  const { expected = 'a mapping', naming = ofName, ...rest } = options;
  const object = z.strictObject(shape);
  const inside = (key: string): z.ZodType | undefined => (Object.hasOwn(shape, key) ? shape[key] : undefined);
  return piece(
    (part, issues) => {
      const { node, reading } = part;
      if (node.kind !== 'map') return addTypeIssue(issues, node, expected);
      // zod looks keys up by name; without a prototype, __proto__ is one of them and toString is not.
      const values = Object.create(null) as Record<string, Part | undefined>;
      for (const { key, value } of node.entries) values[key] = isAbsent(value) ? undefined : { node: value, reading };
      const fields = inner(object, values, { issues }) as Fields<S>;
      // zod tells of unknown keys last; one of them may be why another one is missing.
      if (issues.at(-1)?.code === 'unrecognized_keys' && issues.at(-1)?.path === undefined)
        issues.unshift(...issues.splice(-1));
      if (finish !== undefined) return finish(fields, { part, node, issues });
      return issues.length > 0 ? undefined : fields;
    },
    { inside, naming, known: Object.keys(shape), ...rest },
  );
}

/** A mapping of names of the user's own, in the order of the file; items that are broken are left out. */
export function entries<T>(
  item: Piece<T>,
  { naming = ofName, expected = 'a mapping' }: { readonly naming?: Naming; readonly expected?: string } = {},
): Piece<T[]> {
  return piece(
    ({ node, reading }, issues) => {
      if (node.kind !== 'map') return addTypeIssue(issues, node, expected);
      return node.entries.flatMap((entry): T[] => {
        const value = inner(item, { node: entry.value, entry, reading }, { issues, key: entry.key });
        return value === undefined ? [] : [value];
      });
    },
    { inside: () => item, naming, open: true },
  );
}

/** A list; items that are broken are left out. With `orOne`, what is no list counts as a list of it. */
export function list<T>(
  item: Piece<T>,
  options: { readonly naming?: Naming; readonly expected?: string; readonly orOne?: boolean } = {},
): Piece<T[]> {
  const { naming = (_, name) => `an item of ${name}`, expected = 'a list', orOne = false } = options;
  return piece(
    ({ node, reading }, issues) => {
      if (node.kind !== 'list' && !orOne) return addTypeIssue(issues, node, expected);
      return (node.kind === 'list' ? node.items : [node]).flatMap((each, key): T[] => {
        const value = inner(item, { node: each, reading }, { issues, key });
        return value === undefined ? [] : [value];
      });
    },
    { inside: () => item, naming },
  );
}

export interface Located<T> {
  readonly value: T;
  readonly position: Position;
}

/** Keeps the place of a value, for checks that come later. */
export function located<T>(schema: Piece<T>): Piece<Located<T>> {
  return derived(schema, (value, { node }) => ({ value, position: node.position }));
}

function ofName(key: string, name: string): string {
  return `${key} of ${name}`;
}
