/**
 * Names of nodes in workflows inside workflows: the aliases that lead to a node, as in `network/vpc`. Bundled into the
 * workflow sandbox: no zod.
 */

/**
 * Reads best where people write it: `windlass logs shop/network/vpc`. An alias may hold it too; what that would make
 * ambiguous is refused when a graph is made.
 */
const separator = '/';

/** Levels of files, the outermost included. */
export const deepestNesting = 5;

/** The path of a node of the workflow that stands at `workflow`; its alias when that is empty. */
export function innerAlias(workflow: string, alias: string): string {
  return workflow === '' ? alias : `${workflow}${separator}${alias}`;
}

/** Whether a node is one of the workflow that stands at this path, directly or in another one. */
export function isInside(alias: string, workflow: string): boolean {
  return alias.startsWith(`${workflow}${separator}`);
}

/** Paths of the workflows that a node would be in by its letters, outermost first. */
export function enclosing(alias: string): string[] {
  const paths: string[] = [];
  for (let at = alias.indexOf(separator); at >= 0; at = alias.indexOf(separator, at + 1))
    paths.push(alias.slice(0, at));
  return paths;
}

/** The path of a node as the workflow at this path knows it. */
export function aliasInside(alias: string, workflow: string): string {
  return workflow === '' ? alias : alias.slice(workflow.length + separator.length);
}

/** Something with an alias, and the paths of the workflows around it, outermost first. */
export interface PlacedNode {
  readonly alias: string;
  readonly within?: readonly string[] | undefined;
}

/** Whether a name means this node: its own, or that of a workflow around it. */
export function isMeant(node: PlacedNode, name: string): boolean {
  return node.alias === name || (node.within?.includes(name) ?? false);
}
