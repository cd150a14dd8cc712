import type { NodeAction } from '../model/deployment.ts';
import type { NodeExtra, PackedGraph, ResolvedAnswer, ResolvedRun, RunNode } from '../model/orchestration.ts';

/** They are in histories: never change one. */
const letters: Readonly<Record<NodeAction, string>> = { deploy: 'd', destroy: 'x', plan: 'p', drift: 'r', keep: 'k' };
const actionOf = new Map(Object.entries(letters).map(([action, letter]) => [letter, action as NodeAction]));

const base = 36;

/** Packs a graph; see `unpackGraph`. Aliases have no line breaks: a workflow file takes letters, digits and a few signs. */
export function packGraph(nodes: readonly RunNode[]): PackedGraph {
  const extras: NodeExtra[] = [];
  const placeOf = new Map<string, number>();
  const extraOf = nodes.map(({ alias: _alias, action: _action, needs: _needs, ...extra }) => {
    const key = JSON.stringify(extra);
    const known = placeOf.get(key) ?? extras.push(extra) - 1;
    placeOf.set(key, known);
    return known.toString(base);
  });
  return {
    aliases: nodes.map(({ alias }) => alias).join('\n'),
    actions: nodes.map(({ action }) => letters[action]).join(''),
    needs: nodes.map(({ needs }, index) => needs.map((need) => (index - need).toString(base)).join(',')).join(';'),
    extras,
    extraOf: extraOf.join(';'),
  };
}

/** The nodes of a packed graph, as they were. Throws when it is none, such as one that somebody made up. */
export function unpackGraph({ aliases, actions, needs, extras, extraOf }: PackedGraph): RunNode[] {
  if (actions === '') return [];
  const names = aliases.split('\n');
  const distances = needs.split(';');
  const places = extraOf.split(';');
  return [...actions].map((letter, index) => {
    const action = actionOf.get(letter);
    const alias = names[index];
    const extra = extras[parseInt(places[index] ?? '', base)];
    if (action === undefined || alias === undefined || extra === undefined)
      throw new RangeError(`node ${index} of the packed graph is damaged`);
    const own = distances[index] ?? '';
    return {
      ...extra,
      alias,
      action,
      needs: own === '' ? [] : own.split(',').map((distance) => index - parseInt(distance, base)),
    };
  });
}

/** Temporal warns of payloads from 256 kB on, and refuses those of 2 MB. */
const largestPlain = 250_000;

/** A run as it is told to its workflow: readable as long as it is small. */
export function toAnswer(run: ResolvedRun): ResolvedAnswer {
  if (JSON.stringify(run.nodes).length <= largestPlain) return run;
  const { nodes, ...rest } = run;
  return { ...rest, packed: packGraph(nodes) };
}

/** The run of an answer, packed or not. */
export function fromAnswer(answer: ResolvedAnswer): ResolvedRun {
  if ('nodes' in answer) return answer;
  const { packed, ...rest } = answer;
  return { ...rest, nodes: unpackGraph(packed) };
}
