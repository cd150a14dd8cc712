import type { NodeDefinition, Position } from '../model/index.ts';

// Beside the definition and not in it: places matter only while the file that was just read is being checked.
const places = new WeakMap<NodeDefinition, ReadonlyMap<string, Position>>();

export function recordPositions(node: NodeDefinition, positions: ReadonlyMap<string, Position>): void {
  places.set(node, positions);
}

/** Where the value of a node's key stands; the node itself when that is not known. */
export function positionOf(node: NodeDefinition, key: string): Position | undefined {
  return places.get(node)?.get(key) ?? node.position;
}
