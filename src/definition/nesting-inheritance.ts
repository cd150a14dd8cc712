/** What a node of an inner workflow has from the node that stands for it in the file around. */
import type { NodeDefinition, NodeInputBinding, NodeVariable, RedeployPolicy } from '../model/index.ts';
import { renameReferences } from './bindings.ts';
import { innerAlias } from './node-path.ts';

/**
 * The node as it is in the graph, but for its needs: its path as alias, and what it reads as paths. What it says itself is
 * nearer than what is said around it, except that it cannot do without what is demanded there.
 */
export function inheritedBy(node: NodeDefinition, around: NodeDefinition | null): NodeDefinition {
  if (around === null) return node;
  const alias = innerAlias(around.alias, node.alias);
  // Two workflows may have nodes of one name.
  const name = innerAlias(around.name, node.name);
  const disabled = around.disabled || node.disabled;
  // A decision has neither code nor settings of a stack.
  if (node.inline?.type === 'approval') return { ...node, alias, name, disabled };
  const inputs = node.inputs.map((input) => renameReferences(input, (read) => innerAlias(around.alias, read)));
  const isOwn = givenBy([...node.variables, ...inputs]);
  return {
    ...node,
    alias,
    name,
    disabled,
    workspace: node.workspace ?? around.workspace,
    requiresApproval: around.requiresApproval === true ? true : (node.requiresApproval ?? around.requiresApproval),
    variables: [...inherited(around.variables.filter((variable) => !isOwn(variable))), ...node.variables],
    inputs: [...inherited(around.inputs.filter((input) => !isOwn(input))), ...inputs],
    redeploy: leastRedeploy(node.redeploy, around.redeploy),
    timeoutSeconds: node.timeoutSeconds ?? around.timeoutSeconds,
    retry: node.retry ?? around.retry,
    ttlSeconds: shortest(node.ttlSeconds, around.ttlSeconds),
  };
}

type Given = Pick<NodeVariable | NodeInputBinding, 'name' | 'kind'>;

function givenBy(all: readonly Given[]): (one: Given) => boolean {
  const keyOf = ({ name, kind }: Given): string => `${kind} ${name}`;
  const keys = new Set(all.map(keyOf));
  return (one) => keys.has(keyOf(one));
}

function inherited<T extends Given>(given: readonly T[]): T[] {
  return given.map((each) => ({ ...each, inherited: true }));
}

const rarity: Record<RedeployPolicy, number> = { always: 0, onInputChange: 1, never: 2 };

function leastRedeploy(one: RedeployPolicy, other: RedeployPolicy): RedeployPolicy {
  return rarity[one] >= rarity[other] ? one : other;
}

function shortest(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
}
