/** Reads a tree by a schema, and says what zod's issues mean: at the place in the file, in the words of the file. */
import { z } from 'zod';
import type { Position } from '../model/index.ts';
import type { ProblemList } from './problems.ts';
import type { IssueText, Part, Piece, Reading } from './schema.ts';
import { factsOf, inner } from './schema.ts';
import { listed, quote } from './text.ts';
import type { YamlEntry, YamlMap, YamlNode } from './yaml-tree.ts';

export interface ReadOptions extends Reading {
  /** The name of the whole in messages: `the workflow file`. */
  readonly what: string;
}

/**
 * Reads a file's tree. All its problems are added to `problems` at once. Undefined when the whole is broken; a schema that
 * can leave broken parts out answers the rest, so that further checks find their problems in the same go.
 */
export function read<T>(schema: Piece<T>, tree: YamlNode, { what, ...reading }: ReadOptions): T | undefined {
  const issues: z.core.$ZodRawIssue[] = [];
  const value = inner(schema, { node: tree, reading } satisfies Part, { issues });
  if (issues.length > 0) reportIssues(issues, { node: tree, schema, name: what, outer: '' }, reading.problems);
  return value;
}

/** Where a path leads. */
interface Spot {
  readonly node: YamlNode;
  readonly schema: z.core.$ZodType | undefined;
  readonly name: string;
  /** The name of what it is in. */
  readonly outer: string;
  /** Absent for the whole file and for items of lists. */
  readonly keyPosition?: Position | undefined;
  /** Whoever wrote the file has chosen its key. */
  readonly named?: boolean | undefined;
}

interface Report {
  readonly find: (path: readonly PropertyKey[]) => Spot;
  readonly problems: ProblemList;
  /** Keys that mistyped ones are taken for. That they are missing is no news then. */
  readonly meant: Map<YamlNode, Set<string>>;
}

/** Adds problems in the order of the issues, in which a mapping's unknown keys come before what it lacks. */
function reportIssues(issues: readonly z.core.$ZodRawIssue[], start: Spot, problems: ProblemList): void {
  const report: Report = { find: finder(start), problems, meant: new Map() };
  for (const issue of issues) {
    const path = issue.path ?? [];
    const said =
      issue.code === 'custom' ? (issue.params as { readonly said?: IssueText } | undefined)?.said : undefined;
    const unknown = issue.code === 'unrecognized_keys' ? (issue.keys as readonly string[]) : undefined;
    if (problems.isFull) problems.pass(unknown?.length ?? 1);
    else if (unknown !== undefined) reportUnknownKeys(report, path, unknown);
    else if (said !== undefined) reportIssue(report, path, said);
    else if (issue.code === 'invalid_type' && issue.input === undefined && path.length > 0)
      reportMissingKey(report, path);
    else {
      // A check of zod's on what a piece has read.
      const { node, name } = report.find(path);
      problems.add(node.position, `${name}: ${z.core.util.finalizeIssue(issue, undefined, z.config()).message}`);
    }
  }
}

function reportIssue({ find, problems }: Report, path: readonly PropertyKey[], said: IssueText): void {
  const { node, name, keyPosition } = find(path);
  const position = said.position ?? (said.at === 'key' ? keyPosition : undefined) ?? node.position;
  const speaker = said.whole === true ? find(path.slice(0, path.length - (said.path?.length ?? 0))).name : name;
  problems.add(position, said.message(speaker, problems.suggest));
}

function reportUnknownKeys(
  { find, problems, meant }: Report,
  path: readonly PropertyKey[],
  keys: readonly string[],
): void {
  const { node, schema, name } = find(path);
  const { known = [], elsewhere } = factsOf(schema, node);
  for (const key of keys) {
    const hint = elsewhere?.(key);
    const near = hint === undefined ? problems.nearest(key, known) : undefined;
    if (near !== undefined) meant.set(node, (meant.get(node) ?? new Set()).add(near));
    const after = hint ?? (near === undefined ? knownKeys(known) : `; did you mean ${quote(near)}?`);
    problems.add(find([...path, key]).keyPosition ?? node.position, `unknown key ${quote(key)} in ${name}${after}`);
  }
}

function reportMissingKey({ find, problems, meant }: Report, path: readonly PropertyKey[]): void {
  const { node, name, keyPosition, named, schema } = find(path.slice(0, -1));
  const key = String(path.at(-1));
  if (meant.get(node)?.has(key) === true) return;
  const { missing = {} } = factsOf(schema, node);
  const after = Object.hasOwn(missing, key) ? missing[key] : '';
  problems.add(named === true ? keyPosition : node.position, `${name} has no ${key}${after}`);
}

function knownKeys(known: readonly string[]): string {
  return `; known ${known.length === 1 ? 'is' : 'are'} ${listed(known, 'and', 16)}`;
}

/** Follows paths from a start. Most problems are close to the one before, so what they have in common is gone once. */
function finder(start: Spot): (path: readonly PropertyKey[]) => Spot {
  const indexes = new Map<YamlMap, ReadonlyMap<string, YamlEntry>>();
  const entryOf = (map: YamlMap, key: string): YamlEntry | undefined => {
    const index = indexes.get(map) ?? new Map(map.entries.map((entry) => [entry.key, entry]));
    indexes.set(map, index);
    return index.get(key);
  };
  const follow = ({ node, schema, name, outer }: Spot, step: PropertyKey): Spot => {
    const key = String(step);
    const { inside, naming, open } = factsOf(schema, node);
    const entry = node.kind === 'map' ? entryOf(node, key) : undefined;
    const value = node.kind === 'list' ? node.items[Number(key)] : entry?.value;
    return {
      node: value ?? node,
      schema: inside?.(key),
      name: naming?.(key, name, outer) ?? key,
      outer: name,
      keyPosition: entry?.keyPosition,
      named: open,
    };
  };
  let trail: readonly PropertyKey[] = [];
  const spots = [start];
  return (path) => {
    let common = 0;
    while (common < path.length && common < trail.length && path[common] === trail[common]) common++;
    spots.length = common + 1;
    let spot = spots[common] ?? start;
    for (const key of path.slice(common)) spots.push((spot = follow(spot, key)));
    trail = path;
    return spot;
  };
}
