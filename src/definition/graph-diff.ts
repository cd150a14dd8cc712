/** What changed between two graphs of the same environment. Bundled into the workflow sandbox: no zod. */

export interface DiffNode {
  readonly alias: string;
  /** What it deploys: id or name of the template, or a text that says the same for an inline one. */
  readonly template: string;
  readonly workspace?: string | null | undefined;
}

export interface Rename {
  readonly from: string;
  /** New aliases with the same template and workspace; more than one when it cannot be told which it became. */
  readonly to: readonly string[];
}

export interface GraphDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly kept: readonly string[];
  /** Removed aliases that may live on under a new name. They are listed in `removed`, their new names in `added`. */
  readonly renames: readonly Rename[];
}

/** Compares by alias. A removed and an added node with the same template and workspace are likely the same node. */
export function diffGraphs(before: readonly DiffNode[], after: readonly DiffNode[]): GraphDiff {
  const old = new Set(before.map((node) => node.alias));
  const now = new Set(after.map((node) => node.alias));
  const removed = before.filter((node) => !now.has(node.alias));
  const added = after.filter((node) => !old.has(node.alias));
  const byIdentity = new Map<string, string[]>();
  for (const node of added) {
    const key = identityOf(node);
    const aliases = byIdentity.get(key);
    if (aliases === undefined) byIdentity.set(key, [node.alias]);
    else aliases.push(node.alias);
  }
  return {
    added: added.map((node) => node.alias),
    removed: removed.map((node) => node.alias),
    kept: after.filter((node) => old.has(node.alias)).map((node) => node.alias),
    renames: removed.flatMap((node) => {
      const to = byIdentity.get(identityOf(node));
      return to === undefined ? [] : [{ from: node.alias, to }];
    }),
  };
}

function identityOf(node: DiffNode): string {
  return JSON.stringify([node.template, node.workspace ?? null]);
}
