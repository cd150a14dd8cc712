/** Nodes on record that the files do not list any more. */
import { isInside } from '../definition/index.ts';
import type { KnownEnvironment } from '../store/index.ts';
import type { ReadGraph } from './read-graph.ts';
import { aliasOf, mayExist } from './resolution.ts';

export interface RemovedNodes {
  readonly destroyed: readonly KnownEnvironment[];
  readonly detached: readonly KnownEnvironment[];
  /** Whether a node with this alias is destroyed when it is not listed. */
  readonly wouldGo: (alias: string) => boolean;
}

/** The file that a node is gone from decides: that of the innermost workflow which is still there. */
export function findRemoved({ nodes, groups, settings }: ReadGraph, known: readonly KnownEnvironment[]): RemovedNodes {
  const listed = new Set([...groups.map(({ alias }) => alias), ...nodes.map(({ definition }) => definition.alias)]);
  const innermostFirst = groups.toReversed();
  const wouldGo = (alias: string): boolean => {
    const around = innermostFirst.find((group) => isInside(alias, group.alias))?.settings ?? settings;
    return around.environmentRemovalStrategy === 'destroy';
  };
  const removed = known.filter((node) => !listed.has(aliasOf(node)));
  return {
    destroyed: removed.filter((node) => wouldGo(aliasOf(node)) && mayExist(node)),
    detached: removed.filter((node) => !wouldGo(aliasOf(node))),
    wouldGo,
  };
}
