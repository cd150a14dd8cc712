/** What is wrong with a graph that is made of several files, and can be seen in none of them alone. */
import type { NodeDefinition, Problem } from '../model/index.ts';
import { longestAlias } from '../model/index.ts';
import type { FlatNode, NamedFile } from './nesting.ts';
import { aliasInside, enclosing, isInside } from './node-path.ts';
import { steersTools } from './steering-names.ts';
import { didYouMean, listed, quote } from './text.ts';

type Node = FlatNode<NamedFile>;

export function nestingProblems(nodes: readonly Node[], groups: readonly Node[]): Problem[] {
  return [...pathProblems(nodes, groups), ...referenceProblems(nodes, groups), ...nodes.flatMap(steeringProblems)];
}

function problemOf({ file, definition }: Node, message: string, position = definition.position): Problem {
  return { message, file: file.fileName, line: position?.line, column: position?.column };
}

/** Paths name one node each, and say of each which workflows it is in. */
function pathProblems(nodes: readonly Node[], groups: readonly Node[]): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  const workflows = new Set(groups.map((group) => group.definition.alias));
  for (const node of [...groups, ...nodes]) {
    const { alias } = node.definition;
    if (seen.has(alias)) {
      problems.push(problemOf(node, `there are two sub-environments ${quote(alias)}; give one another alias`));
      continue;
    }
    seen.add(alias);
    if (alias.length > longestAlias)
      problems.push(
        problemOf(node, `the path ${quote(alias)} has ${alias.length} characters; at most ${longestAlias} are allowed`),
      );
    for (const workflow of enclosing(alias)) {
      if (!workflows.has(workflow) || node.within.includes(workflow)) continue;
      const why = `begins like those of the sub-environments in the workflow ${quote(workflow)}, but it is none of them`;
      problems.push(problemOf(node, `the alias ${quote(alias)} ${why}; give it another alias`));
    }
  }
  // The undoing of a node is known to Temporal under this name.
  for (const group of groups)
    if (group.definition.alias === 'rollback')
      problems.push(problemOf(group, 'a workflow cannot have the alias "rollback"; give it another alias'));
  return problems;
}

function referenceProblems(nodes: readonly Node[], groups: readonly Node[]): Problem[] {
  const known = new Map<string, Node>([...groups, ...nodes].map((node) => [node.definition.alias, node]));
  const workflows = new Set(groups.map((group) => group.definition.alias));
  const aliases = [...known.keys()];
  // What it has from around it is said of the node there.
  const ownOf = ({ definition }: Node) => definition.inputs.filter((input) => input.inherited !== true);
  return [...groups, ...nodes].flatMap((node): Problem[] =>
    ownOf(node).flatMap((input) =>
      input.references.flatMap(({ alias }): Problem[] => {
        const shownAs = quote(aliasInside(alias, node.within.at(-1) ?? ''));
        const reads = `input ${quote(input.name)} of ${quote(node.definition.alias)} reads ${shownAs}`;
        const read = known.get(alias);
        if (read === undefined) {
          return [problemOf(node, `${reads}, which does not exist${didYouMean(alias, aliases)}`, input.position)];
        }
        if (workflows.has(alias)) {
          const inner = nodes.flatMap(({ definition }) =>
            isInside(definition.alias, alias) ? [definition.alias] : [],
          );
          const choice = listed(inner.map(quote));
          return [problemOf(node, `${reads}, which is a workflow; read one of its own: ${choice}`, input.position)];
        }
        if (!isApproval(read.definition)) return [];
        return [problemOf(node, `${reads}, which is an approval and has no outputs`, input.position)];
      }),
    ),
  );
}

function isApproval({ inline }: NodeDefinition): boolean {
  return inline?.type === 'approval';
}

/** The template of a node belongs to the project; whoever writes a file around it may not say there what its tools run. */
function steeringProblems(node: Node): Problem[] {
  const { templateName, variables, inputs, alias } = node.definition;
  if (templateName === undefined || node.within.length === 0) return [];
  return [...variables, ...inputs].flatMap(({ kind, name }) =>
    kind === 'environment' && steersTools(name)
      ? [
          problemOf(
            node,
            `${quote(alias)} may not have ${quote(name)} from a workflow around it: it decides what tools run, and the template belongs to the project`,
          ),
        ]
      : [],
  );
}
