/** What can only be said about the graph as a whole. */
import type { Position } from '../model/index.ts';
import { areUpstream, findCycles } from './graph.ts';
import { enclosing } from './node-path.ts';
import type { ProblemList } from './problems.ts';
import { kindOfKey } from './node-kinds.ts';
import { listed, quote, shown } from './text.ts';
import type { ReadNode } from './workflow-node.ts';

export function checkGraph(problems: ProblemList, nodes: readonly ReadNode[]): void {
  const known = new Map(nodes.map((node) => [node.definition.alias, node]));
  for (const { definition, needs } of nodes) {
    for (const { value, position } of needs) {
      if (value === definition.alias) problems.add(position, `sub-environment ${quote(value)} needs itself`);
      else if (!known.has(value)) {
        const hint = problems.suggest(value, known.keys()) || inTheFile(known);
        problems.add(position, `unknown sub-environment ${quote(value)} in needs${hint}`);
      }
    }
  }
  const graph = nodes.map(({ definition }) => ({
    alias: definition.alias,
    needs: definition.needs.filter((need) => need !== definition.alias),
  }));
  for (const cycle of findCycles(graph)) {
    problems.add(closingNeed(known, cycle), `cycle: ${printCycle(cycle)}`);
  }
  checkInputs(problems, nodes, { known, graph });
}

function inTheFile(known: ReadonlyMap<string, unknown>): string {
  return known.size > 8
    ? ''
    : `; the file has ${listed(
        [...known.keys()].map((alias) => quote(alias)),
        'and',
      )}`;
}

/** Where the last node of the cycle names the first. */
function closingNeed(known: ReadonlyMap<string, ReadNode>, cycle: readonly string[]): Position | undefined {
  const last = known.get(cycle[cycle.length - 2] ?? '');
  return last?.needs.find((need) => need.value === cycle[0])?.position ?? last?.definition.position;
}

function printCycle(cycle: readonly string[]): string {
  const most = 12;
  const names = cycle.map((alias) => shown(alias));
  if (names.length <= most) return names.join(' → ');
  return [...names.slice(0, most - 3), `… ${names.length - most} more …`, ...names.slice(-3)].join(' → ');
}

function checkInputs(
  problems: ProblemList,
  nodes: readonly ReadNode[],
  {
    known,
    graph,
  }: { readonly known: ReadonlyMap<string, ReadNode>; readonly graph: readonly { alias: string; needs: string[] }[] },
): void {
  const pairs: { of: string; producer: string; say: () => void }[] = [];
  for (const { definition } of nodes) {
    for (const input of definition.inputs) {
      for (const { alias } of input.references) {
        const reads = `input ${quote(input.name)} reads ${referred(alias)}`;
        // What lies in a workflow is known once its own file is read.
        const producer = known.has(alias) ? alias : enclosing(alias).find((path) => mayBeWorkflow(known.get(path)));
        if (producer === definition.alias)
          problems.add(
            input.position,
            `${reads}, which is ${alias === producer ? '' : 'in '}the sub-environment itself`,
          );
        else if (producer === undefined)
          problems.add(input.position, `${reads}, which does not exist${problems.suggest(alias, known.keys())}`);
        else if (kindOfKey(known.get(alias)?.definition.inline?.type ?? '') !== undefined)
          problems.add(input.position, `${reads}, which is ${titleOf(known.get(alias))} and has no outputs`);
        else {
          const say = (): void =>
            problems.add(
              input.position,
              `${reads}, which ${quote(definition.alias)} does not need, directly or through others`,
            );
          pairs.push({ of: definition.alias, producer, say });
        }
      }
    }
  }
  areUpstream(graph, pairs).forEach((upstream, i) => {
    if (!upstream) pairs[i]?.say();
  });
}

function mayBeWorkflow(node: ReadNode | undefined): boolean {
  return node !== undefined && (node.definition.inline === undefined || node.definition.inline.type === 'workflow');
}

const titleOf = (node: ReadNode | undefined): string => kindOfKey(node?.definition.inline?.type ?? '')?.title ?? '';

function referred(alias: string): string {
  return /^[\w-]+$/.test(alias) ? `environments.${shown(alias)}` : `environments[${quote(alias)}]`;
}
