/** The records of a graph, brought up to the files that a run has read. */
import { newId } from '../model/index.ts';
import { expectNodes, upsertSubEnvironments } from '../store/index.ts';
import type { KnownEnvironment } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';
import { applyMoves } from './moves.ts';
import type { Moves } from './moves.ts';
import type { NodeTemplate } from './node-templates.ts';
import type { PreparedNode } from './prepare-nodes.ts';
import type { ReadGraph } from './read-graph.ts';
import type { ResolvingRun } from './resolution.ts';

interface Following {
  readonly graph: ReadGraph;
  readonly prepared: ReadonlyMap<string, PreparedNode>;
  readonly moves: Moves;
  /** By the alias that it has after the moves. */
  readonly known: ReadonlyMap<string, KnownEnvironment>;
}

/** Renames and makes sub-environments as the files have them. Answers the id of each alias. */
export async function followFile(
  deps: ResolveDeps,
  run: ResolvingRun,
  following: Following,
): Promise<Map<string, string>> {
  const { graph, moves, known } = following;
  if (graph.single !== null)
    return new Map(graph.nodes.map(({ definition }) => [definition.alias, run.environment_id]));
  if (run.type !== 'plan') await applyMoves(deps.db.sql, run, moves);
  // A plan renames nothing: what was moved is planned as the sub-environment that it still is.
  const moved = new Set(run.type === 'plan' ? moves.values() : []);
  const wanted = listedIn(following).filter(({ alias }) => !moved.has(alias));
  const parent = { id: run.environment_id, projectId: run.project_id };
  const ids = await upsertSubEnvironments(deps.db.sql, parent, wanted);
  for (const alias of moved) ids.set(alias, known.get(alias)?.id ?? run.environment_id);
  if (run.type !== 'plan') {
    const enabled = graph.nodes.flatMap(({ definition }) => (definition.disabled ? [] : [definition.alias]));
    await expectNodes(deps.db.sql, run.environment_id, enabled);
  }
  return ids;
}

/** Workflows of the graph come before the nodes in them. */
function listedIn({ graph, prepared, known }: Following): Parameters<typeof upsertSubEnvironments>[2] {
  const all = [
    ...graph.groups.map(({ definition, template }) => ({ definition, template, nested: true })),
    ...graph.nodes.map(({ definition }) => {
      return { definition, template: prepared.get(definition.alias)?.template, nested: false };
    }),
  ];
  return all.map(({ definition: { alias, name, workspace, revision }, template, nested }) => ({
    newId: known.get(alias)?.id ?? newId('env'),
    ...{ alias, name, nested },
    templateId: template?.id ?? null,
    inline: template?.id === null ? inlineOf(template) : null,
    workspace: workspace ?? null,
    revision: revision ?? null,
  }));
}

function inlineOf({ type, source, config }: NodeTemplate): unknown {
  return { type, source, config };
}
