import { posix } from 'node:path';
import { aliasInside, innerAlias, isInside } from '../definition/index.ts';
import type { Problem } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { renameNode } from '../store/index.ts';
import type { Db, KnownEnvironment } from '../store/index.ts';
import type { ReadGraph } from './read-graph.ts';
import type { ResolvingRun } from './resolution.ts';

/** Aliases that are to be renamed in the records, old to new. */
export type Moves = ReadonlyMap<string, string>;

/** What the request renames; of a workflow in the graph also the nodes in it. */
export function requestedMoves(run: ResolvingRun, known: readonly KnownEnvironment[]): Moves {
  const requested = Object.entries(run.request.moves ?? {});
  const moves = new Map(requested);
  for (const [from, to] of requested) {
    if (!run.groups.some((group) => group.alias === from)) continue;
    for (const { alias } of [...run.groups, ...known]) {
      if (alias === null || !isInside(alias, from) || moves.has(alias)) continue;
      moves.set(alias, innerAlias(to, aliasInside(alias, from)));
    }
  }
  return moves;
}

/** Those of the requested moves that lead somewhere. Refuses what was asked for by name and cannot be moved. */
function possibleMoves(
  run: ResolvingRun,
  requested: Moves,
  { known, listed }: { readonly known: readonly KnownEnvironment[]; readonly listed: ReadonlySet<string> },
): Moves {
  const there = new Set([...run.groups, ...known].map(({ alias }) => alias));
  const possible = [...requested].filter(([from, to]) => there.has(from) && listed.has(to));
  const impossible = Object.entries(run.request.moves ?? {}).find(
    ([from]) => !possible.some(([each]) => each === from),
  );
  if (impossible === undefined) return new Map(possible);
  throw new WindlassError(
    'invalidDefinition',
    `cannot move "${impossible[0]}" to "${impossible[1]}": the first must be deployed and the second in the file`,
    { class: 'definition', hint: describeMovable(known, listed) },
  );
}

/**
 * A node that is gone beside a new one with the same template and workspace looks like a renamed alias. Destroying the
 * one and creating the other would lose what it holds, so a person has to say which is meant.
 */
export function detectMoves(
  run: ResolvingRun,
  {
    graph,
    requested,
    known,
    wouldGo,
  }: {
    readonly graph: Pick<ReadGraph, 'nodes' | 'groups'>;
    readonly requested: Moves;
    readonly known: readonly KnownEnvironment[];
    /** Whether a node that is not listed any more is destroyed. */
    readonly wouldGo: (alias: string) => boolean;
  },
): Moves {
  const nodes = graph.nodes.map(({ definition }) => definition);
  const listed = new Set([...nodes, ...graph.groups].map(({ alias }) => alias));
  const confirmed = possibleMoves(run, requested, { known, listed });
  if (run.request.partial || run.request.replaceRenamed) return confirmed;
  const gone = known.filter(
    (node) =>
      node.alias !== null &&
      !listed.has(node.alias) &&
      !confirmed.has(node.alias) &&
      node.status !== 'inactive' &&
      node.deployed_snapshot !== null &&
      wouldGo(node.alias),
  );
  const taken = new Set(confirmed.values());
  const fresh = graph.nodes.filter(
    ({ definition: { alias } }) => !known.some((before) => before.alias === alias) && !taken.has(alias),
  );
  const renames: string[] = [];
  const problems = gone.flatMap((before): Problem[] => {
    const likely = fresh.find((node) => sameStack(before, node, run))?.definition;
    if (likely === undefined) return [];
    renames.push(`${before.alias}=${likely.alias}`);
    return [
      {
        path: 'moves',
        message: `"${before.alias}" is gone and "${likely.alias}" is new with the same template and workspace: a rename?`,
        line: likely.position?.line,
        column: likely.position?.column,
      },
    ];
  });
  if (problems.length > 0) {
    throw new WindlassError('invalidDefinition', problems[0]?.message ?? '', {
      class: 'definition',
      problems,
      hint: renameHint(run.environment_name, renames),
    });
  }
  return confirmed;
}

const quoteWord = (word: string): string => (/^[\w.=/-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** The two commands that say which is meant. */
function renameHint(name: string, renames: readonly string[]): string {
  const deploy = `windlass deploy ${quoteWord(name)}`;
  return [
    `it keeps its resources under the new name: ${deploy} ${renames.map((each) => `--moved ${quoteWord(each)}`).join(' ')}`,
    `it is destroyed and made anew: ${deploy} --replace-renamed`,
  ].join('\n');
}

/** What can be moved where: names on both sides, as far as they are worth a line. */
function describeMovable(known: readonly KnownEnvironment[], listed: Iterable<string>): string {
  const deployed = known.flatMap(({ alias }) => alias ?? []);
  return `deployed: ${listedUpTo(deployed)}; in the file: ${listedUpTo([...listed])}`;
}

function listedUpTo(aliases: readonly string[], most = 20): string {
  const shown = aliases.slice(0, most).map((alias) => `"${alias}"`);
  return `${shown.join(', ') || 'none'}${aliases.length > most ? ' and more' : ''}`;
}

function sameStack(
  before: KnownEnvironment,
  { definition: node, file }: ReadGraph['nodes'][number],
  run: ResolvingRun,
): boolean {
  const snapshot = before.deployed_snapshot;
  if (snapshot === null || (snapshot.workspace ?? null) !== (node.workspace ?? run.workspace ?? null)) return false;
  if (node.templateName !== undefined) return snapshot.templateName === node.templateName;
  if (node.inline === undefined || node.inline.type !== snapshot.type) return false;
  return node.inline.source.kind === 'own'
    ? snapshot.source.path.endsWith(node.inline.source.path) ||
        snapshot.source.path === posix.join(file.source.path, node.inline.source.path)
    : JSON.stringify(snapshot.source) === JSON.stringify(node.inline.source);
}

/** The records as they will be once the moves are made. */
export function withMoves(moves: Moves, known: readonly KnownEnvironment[]): readonly KnownEnvironment[] {
  if (moves.size === 0) return known;
  return known.map((node) => ({ ...node, alias: node.alias === null ? null : (moves.get(node.alias) ?? node.alias) }));
}

/** Renames the records, so that their resources, state and history stay with them. */
export async function applyMoves(db: Db, run: ResolvingRun, moves: Moves): Promise<void> {
  for (const [from, to] of moves) await renameNode(db, run.environment_id, from, to);
}
