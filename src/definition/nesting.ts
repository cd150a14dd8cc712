/**
 * Workflows inside workflows. The nodes of an inner file become nodes of the outer graph, named by the path of aliases that
 * leads to them, so that one run does them all; see docs/architecture.md, "Workflows in a graph". Pure.
 */
import type { NodeDefinition, Problem } from '../model/index.ts';
import { inheritedBy } from './nesting-inheritance.ts';
import { nestingProblems } from './nesting-problems.ts';
import { innerAlias } from './node-path.ts';

/** A workflow file with the files of the workflows in it. */
export interface NestedWorkflow<F> {
  /** What the caller keeps with each file; its name stands before problems. */
  readonly file: F;
  readonly nodes: readonly NodeDefinition[];
  /** Those of the nodes that are workflows, by alias. */
  readonly workflows: ReadonlyMap<string, NestedWorkflow<F>>;
}

export interface NamedFile {
  readonly fileName: string;
}

/** A node of a graph of which some nodes lie in workflows of their own. */
export interface FlatNode<F> {
  readonly file: F;
  /** With its path as alias, its needs as paths, and with what it has from the workflows around it. */
  readonly definition: NodeDefinition;
  /** Paths of the workflows around it, outermost first. */
  readonly within: readonly string[];
  /** Paths of the workflows that it needs as a whole. */
  readonly follows: readonly string[];
}

export interface FlatWorkflow<F> {
  readonly nodes: readonly FlatNode<F>[];
  /** Nodes that are workflows: they are not run themselves, but the nodes in them are. */
  readonly groups: readonly FlatNode<F>[];
  readonly problems: readonly Problem[];
}

/** What a node of a file comes to in the graph. */
interface Placed {
  /** Paths of the nodes that have to be done before what needs it may begin. */
  readonly outlets: readonly string[];
  /** Something of it is deployed, or is to be. */
  readonly stands: boolean;
}

/**
 * The graph of a run. A root of an inner file needs what the node needs that stands for the file. Whatever needs that node
 * needs the last nodes of the file, without those that are disabled and not deployed: the file is whole without them.
 */
export function flattenWorkflow<F extends NamedFile>(
  workflow: NestedWorkflow<F>,
  options: {
    /** Whether the node at this path is deployed; nothing is when absent. */
    readonly isLive?: ((path: string) => boolean) | undefined;
  } = {},
): FlatWorkflow<F> {
  const { isLive = () => false } = options;
  const placed = new Map<string, Placed>();
  placeFile(workflow, { path: '', disabled: false, isLive }, placed);
  const flat: Flat<F> = { nodes: [], groups: [], outletsOf: (path) => placed.get(path)?.outlets ?? [] };
  addFile(workflow, null, flat);
  const { nodes, groups } = flat;
  return { nodes, groups, problems: nestingProblems(nodes, groups) };
}

/** Finds the outlets of everything in a file, and answers those of the file as a whole. */
function placeFile(
  { nodes, workflows }: NestedWorkflow<unknown>,
  at: { readonly path: string; readonly disabled: boolean; readonly isLive: (path: string) => boolean },
  placed: Map<string, Placed>,
): Placed {
  const { path, isLive } = at;
  const own = new Map<string, Placed>();
  for (const node of nodes) {
    const full = innerAlias(path, node.alias);
    const disabled = at.disabled || node.disabled;
    const inner = workflows.get(node.alias);
    const found =
      inner === undefined
        ? { outlets: [full], stands: !disabled || isLive(full) }
        : placeFile(inner, { path: full, disabled, isLive }, placed);
    own.set(node.alias, found);
    placed.set(full, found);
  }
  const stands = [...own.values()].some((found) => found.stands);
  return { outlets: lastOf(nodes, (alias) => own.get(alias), stands), stands };
}

/** Outlets of the nodes that no other one needs. Where one of them does not stand, those it needs take its place. */
function lastOf(
  nodes: readonly NodeDefinition[],
  placedOf: (alias: string) => Placed | undefined,
  stands: boolean,
): string[] {
  const needed = new Set(nodes.flatMap((node) => node.needs));
  const needsOf = new Map(nodes.map((node) => [node.alias, node.needs]));
  const waiting = nodes.flatMap(({ alias }) => (needed.has(alias) ? [] : [alias]));
  const seen = new Set(waiting);
  const outlets: string[] = [];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const found = placedOf(next);
    if (found === undefined) continue;
    if (found.stands || !stands) outlets.push(...found.outlets);
    else
      for (const need of needsOf.get(next) ?? []) {
        if (seen.has(need)) continue;
        seen.add(need);
        waiting.push(need);
      }
  }
  return outlets;
}

interface Flat<F> {
  readonly nodes: FlatNode<F>[];
  readonly groups: FlatNode<F>[];
  readonly outletsOf: (path: string) => readonly string[];
}

/** Adds the nodes of a file in its order; `around` is the node that stands for it. */
function addFile<F>({ file, nodes, workflows }: NestedWorkflow<F>, around: FlatNode<F> | null, flat: Flat<F>): void {
  const path = around?.definition.alias ?? '';
  const within = around === null ? [] : [...around.within, path];
  for (const node of nodes) {
    const wanted = node.needs.map((need) => innerAlias(path, need));
    const root = wanted.length === 0 ? around : null;
    const made: FlatNode<F> = {
      file,
      definition: {
        ...inheritedBy(node, around?.definition ?? null),
        needs: [...new Set(root?.definition.needs ?? wanted.flatMap(flat.outletsOf))],
      },
      within,
      follows: root?.follows ?? node.needs.flatMap((need) => (workflows.has(need) ? [innerAlias(path, need)] : [])),
    };
    const inner = workflows.get(node.alias);
    if (inner === undefined) flat.nodes.push(made);
    else {
      flat.groups.push(made);
      addFile(inner, made, flat);
    }
  }
}
