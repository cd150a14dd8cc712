import type { DeploymentRequest, Problem } from '../model/index.ts';
import { didYouMean, listed, quote } from './text.ts';

/** Aliases in a request that no node has: what is meant for them would be dropped without a word. */
export function unknownAliases(
  request: Pick<DeploymentRequest, 'variables' | 'nodeApprovals' | 'restoreNodes'>,
  graph: { readonly known: readonly string[]; readonly of: string },
): Problem[] {
  const known = new Set(graph.known);
  const has = known.size === 0 ? 'it has no nodes yet' : `it has ${listed(graph.known.map(quote), 'and')}`;
  const given = [
    ...request.variables.flatMap(({ alias }, index) =>
      alias === undefined ? [] : [{ alias, path: `variables[${index}].alias` }],
    ),
    ...Object.keys(request.nodeApprovals ?? {}).map((alias) => ({ alias, path: `nodeApprovals.${alias}` })),
    ...(request.restoreNodes ?? []).map((alias, index) => ({ alias, path: `restoreNodes[${index}]` })),
  ];
  return given.flatMap(({ alias, path }) =>
    known.has(alias)
      ? []
      : [
          {
            path,
            message: `${quote(graph.of)} has no node ${quote(alias)}${didYouMean(alias, known) || `; ${has}`}`,
          },
        ],
  );
}
