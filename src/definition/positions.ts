import type { NodeDefinition, Position } from '../model/index.ts';
import type { YamlNode } from './yaml-tree.ts';

// Beside the definition and not in it: places matter only while the file that was just read is being checked.
const trees = new WeakMap<NodeDefinition, YamlNode>();

export function recordPositions(node: NodeDefinition, tree: YamlNode): void {
  trees.set(node, tree);
}

/** Where the value of a node's key stands (`vcs.type`); the node itself when it has none. */
export function positionOf(node: NodeDefinition, key: string): Position | undefined {
  let tree = trees.get(node);
  for (const step of key.split('.'))
    tree = tree?.kind === 'map' ? tree.entries.find((entry) => entry.key === step)?.value : undefined;
  return tree?.position ?? node.position;
}
