import type { NodeDefinition, Problem } from '../model/index.ts';
import { makeProblemList } from './problems.ts';
import { quote } from './text.ts';
import { resolveVariables } from './variables.ts';
import type { LevelVariable, VariableLayer } from './variables.ts';

/**
 * What is wrong with the variables of nodes before they run: required ones without a value, values that do not fit the
 * rules of a level. What an input gives is not known yet and is left to the node's start.
 */
export function checkNodeVariables(
  nodes: readonly {
    readonly node: NodeDefinition;
    readonly layers: readonly VariableLayer[];
    /** Of the request for this run. */
    readonly requested?: readonly LevelVariable[] | undefined;
  }[],
  options: { readonly fileName: string },
): Problem[] {
  const problems = makeProblemList(options.fileName);
  for (const { node, layers, requested = [] } of nodes) {
    const bound = new Set(node.inputs.map((input) => `${input.kind} ${input.name}`));
    const all: VariableLayer[] = [
      ...layers,
      { level: 'workflow', variables: node.variables.filter(({ inherited }) => inherited === true) },
      { level: 'file', variables: node.variables.filter(({ inherited }) => inherited !== true) },
      { level: 'deployment', variables: requested },
    ];
    const known = all.map(({ level, variables }) => ({
      level,
      variables: variables.filter((variable) => !bound.has(`${variable.kind} ${variable.name}`)),
    }));
    const of = options.fileName === '' ? '' : `sub-environment ${quote(node.alias)}: `;
    for (const { message } of resolveVariables(known).problems) problems.add(node.position, `${of}${message}`);
  }
  return problems.sorted();
}
