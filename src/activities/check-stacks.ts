/** What can be told of stacks from their code, before any of them runs. */
import { readdir } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { didYouMean, isMeant, listed, quote } from '../definition/index.ts';
import type { DeploymentRequest, NodeDefinition, NodeSnapshot, Problem } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { declaredVariables } from '../tools/index.ts';
import type { GitCredentials } from '../sources/index.ts';
import type { ResolveDeps } from './deps.ts';

/** A node with the code that it is run with. */
export interface CheckedStack {
  readonly node: NodeDefinition;
  /** Of the file it stands in; empty without one. */
  readonly fileName: string;
  readonly within: readonly string[];
  readonly snapshot: NodeSnapshot;
  /** The run does something to it. */
  readonly runs: boolean;
  readonly credentials: GitCredentials | undefined;
}

/** The source's directory, when it is on this machine already: nothing is fetched only to be looked at. */
function rootsOf(deps: ResolveDeps): (stack: CheckedStack) => Promise<string | null> {
  const asked = new Map<string, Promise<string | null>>();
  return ({ snapshot: { source, commit }, credentials }) => {
    const key = JSON.stringify([{ ...source, path: '' }, commit]);
    const known = asked.get(key);
    if (known !== undefined) return known;
    const root = deps.sources.find(source, commit, { credentials });
    asked.set(key, root);
    return root;
  };
}

/** Nodes whose directory is not in their source: all of them in one answer. */
export async function missingDirectories(deps: ResolveDeps, stacks: readonly CheckedStack[]): Promise<Problem[]> {
  const rootOf = rootsOf(deps);
  const found = await Promise.all(
    stacks.map(async (stack): Promise<Problem[]> => {
      const root = stack.runs ? await rootOf(stack) : null;
      const why = root === null ? null : await directoryProblem(deps, root, stack.snapshot.source.path);
      if (why === null) return [];
      const { fileName } = stack;
      const { alias, position } = stack.node;
      const message = fileName === '' ? why : `sub-environment ${quote(alias)}: ${why}`;
      const place = fileName === '' ? {} : { file: fileName, line: position?.line, column: position?.column };
      return [{ message, ...place }];
    }),
  );
  return found.flat();
}

async function directoryProblem(deps: ResolveDeps, root: string, path: string): Promise<string | null> {
  try {
    await deps.sources.resolvePath(root, path);
    return null;
  } catch (error) {
    if (!(error instanceof WindlassError)) throw error;
    if (error.code !== 'notFound') return error.message;
    const siblings = await readdir(join(root, posix.dirname(path)), { withFileTypes: true }).catch(() => []);
    const near = siblings
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => posix.join(posix.dirname(path), name));
    return `${error.message}${didYouMean(posix.normalize(path), near)}`;
  }
}

/**
 * Variables of the tool that the request gives to nodes whose code declares no such variable. Only said when the code of
 * all nodes that are meant is at hand: what cannot be known is no mistake.
 */
export async function undeclaredVariables(
  deps: ResolveDeps,
  request: DeploymentRequest,
  stacks: readonly CheckedStack[],
): Promise<Problem[]> {
  // What a resumed run was given may be gone from the file that is read again.
  if (request.resume !== undefined || request.variables.every(({ kind }) => kind !== 'tool')) return [];
  const rootOf = rootsOf(deps);
  const declared = new Map<string, ReadonlySet<string> | null>();
  for (const stack of stacks) {
    const root = await rootOf(stack);
    const { path } = stack.snapshot.source;
    declared.set(stack.node.alias, root === null ? null : declaredVariables(stack.snapshot.type, join(root, path)));
  }
  const running = stacks.filter(({ runs }) => runs).map(({ node }) => node.alias);
  const meantBy = (name: string): string[] =>
    stacks.flatMap(({ node: { alias }, within }) => (isMeant({ alias, within }, name) ? [alias] : []));
  return request.variables.flatMap(({ name, kind, alias }, index): Problem[] => {
    if (kind !== 'tool') return [];
    const names = new Set<string>();
    for (const meant of alias === undefined ? running : meantBy(alias)) {
      const known = declared.get(meant);
      if (known === null || known === undefined) return [];
      for (const each of known) names.add(each);
    }
    if (names.has(name)) return [];
    const nobody = request.partial === undefined ? 'no node declares' : 'no node of this run declares';
    const who = alias === undefined ? nobody : `${quote(alias)} does not declare`;
    const there = names.size === 0 ? '' : `; there are ${listed([...names].map(quote), 'and')}`;
    const message = `${who} the variable ${quote(name)}${didYouMean(name, names) || there}`;
    return [{ path: `variables[${index}].name`, message }];
  });
}
