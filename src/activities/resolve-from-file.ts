/** Runs whose graph comes from the workflow file at its commit. */
import { quote, selectForDeploy, selectForPlan, unknownAliases } from '../definition/index.ts';
import type { FlatNode, SelectableNode, Selection } from '../definition/index.ts';
import type { RunNode } from '../model/index.ts';
import { needsTool } from '../model/index.ts';
import { listTemplateNames } from '../store/index.ts';
import type { EnclosingWorkflow, KnownEnvironment, NewNode } from '../store/index.ts';
import { variableProblems } from './check-variables.ts';
import type { CheckedNode } from './check-variables.ts';
import { missingDirectories, undeclaredVariables } from './check-stacks.ts';
import type { CheckedStack } from './check-stacks.ts';
import type { ResolveDeps } from './deps.ts';
import { followFile } from './follow-file.ts';
import { detectMoves, requestedMoves, withMoves } from './moves.ts';
import type { NodeTemplate } from './node-templates.ts';
import { prepareNodes } from './prepare-nodes.ts';
import type { PreparedNode } from './prepare-nodes.ts';
import { readGraph } from './read-graph.ts';
import type { ReadGraph } from './read-graph.ts';
import type { WorkflowFile } from './read-definition.ts';
import { findRemoved } from './removed-nodes.ts';
import type { RemovedNodes } from './removed-nodes.ts';
import {
  aliasOf,
  definitionOf,
  fromLastRun,
  isLive,
  mayExist,
  parallelOf,
  refuse,
  selectableFromRecords,
} from './resolution.ts';
import type { Resolution, ResolvingRun } from './resolution.ts';
import { resumeWithFile } from './resolve-resume.ts';
import type { Resume } from './resolve-resume.ts';

/** What the files say, beside what the records know. */
interface Sight {
  readonly deps: ResolveDeps;
  readonly run: ResolvingRun;
  readonly graph: ReadGraph;
  /** Nodes of the graph by alias, as they will be run. */
  readonly prepared: ReadonlyMap<string, PreparedNode>;
  /** What is on record, by the alias that it has after this run. */
  readonly known: ReadonlyMap<string, KnownEnvironment>;
  readonly removed: RemovedNodes;
}

export async function resolveFromFile(
  deps: ResolveDeps,
  run: ResolvingRun,
  template: NodeTemplate,
  knownBefore: readonly KnownEnvironment[],
  options: { readonly dry: boolean } = { dry: false },
): Promise<Resolution> {
  const stored = new Map((await listTemplateNames(deps.db.sql, run.project_id)).map((each) => [each.name, each]));
  const requested = requestedMoves(run, knownBefore);
  const wanted = byAlias(withMoves(requested, knownBefore));
  const graph = await readGraph(deps, run, { template, stored, isLive: (path) => isLive(wanted.get(path)) });
  refuseUnknown(run, graph);
  const { wouldGo } = findRemoved(graph, []);
  const moves = detectMoves(run, { graph, requested, known: knownBefore, wouldGo });
  const known = byAlias(withMoves(moves, knownBefore));
  refuseReplaced(graph, known);
  const prepared = await prepareNodes(deps, run, graph, { stored, known });
  const { resume: resumed } = run.request;
  const resume = resumed ? await resumeWithFile(deps, run, resumed.deployment) : undefined;
  const keepsAll = run.request.partial !== undefined || resume?.whole === false || graph.single !== null;
  const removed = findRemoved(graph, keepsAll ? [] : [...known.values()]);
  const sight: Sight = { deps, run, graph, prepared, known, removed };
  const selection = select(sight, resume);
  refuse(selection.problems, 'nothing was run', `the nodes there are: windlass graph ${run.environment_name}`);
  await check(sight, selection.nodes);
  // Nothing is refused from here on, so the records may follow the file.
  const ids = options.dry ? new Map<string, string>() : await followFile(deps, run, { graph, prepared, moves, known });
  return resolutionOf(sight, selection.nodes, ids);
}

function byAlias(known: readonly KnownEnvironment[]): Map<string, KnownEnvironment> {
  return new Map(known.map((node) => [aliasOf(node), node]));
}

function refuseUnknown(run: ResolvingRun, { nodes, groups }: ReadGraph): void {
  const known = [...groups.map(({ alias }) => alias), ...nodes.map(({ definition }) => definition.alias)];
  refuse(
    unknownAliases(run.request, { known, of: run.environment_name }),
    'nothing was run',
    `the nodes there are: windlass graph ${run.environment_name}`,
  );
}

/** What a stack has made would have no code any more once its alias means a workflow. */
function refuseReplaced({ groups }: ReadGraph, known: ReadonlyMap<string, KnownEnvironment>): void {
  const replaced = groups.filter(({ alias }) => {
    const before = known.get(alias);
    return before !== undefined && mayExist(before);
  });
  refuse(
    replaced.map(({ alias, definition: { position } }) => ({
      message: `${quote(alias)} is deployed as a stack and cannot become a workflow`,
      line: position?.line,
      column: position?.column,
    })),
    'nothing was run',
    'give the workflow another alias; a stack that lives on in it is moved with --moved OLD=WORKFLOW/NEW',
  );
}

/** What the run does to each node of the graph, and to those that are no longer in it. */
function select({ run, graph, known, removed }: Sight, resume: Resume | undefined): Selection {
  const { partial = resume?.partial } = run.request;
  // What runs only when something has changed has to know all that it depends on.
  const members = partial === undefined && resume === undefined ? new Map<string, string[]>() : membersOf(graph);
  const selectable = graph.nodes.map((node) => selectableFromFile(node, members, known));
  if (run.type === 'plan') {
    const nodes = selectForPlan(selectable, {
      only: run.request.partial?.node,
      removed: selectableFromRecords(removed.destroyed).toReversed(),
      detached: selectableFromRecords(removed.detached.filter(mayExist)).toReversed(),
    });
    return { nodes, problems: [] };
  }
  return selectForDeploy(selectable, {
    partial,
    choose: resume?.choose,
    removed: selectableFromRecords(removed.destroyed),
    others: removed.destroyed.length > 0 ? selectableFromRecords([...known.values()]) : [],
  });
}

/** Aliases of the nodes in each workflow of the graph. */
function membersOf({ nodes }: ReadGraph): Map<string, string[]> {
  const members = new Map<string, string[]>();
  for (const { definition, within } of nodes)
    for (const path of within) {
      const list = members.get(path);
      if (list === undefined) members.set(path, [definition.alias]);
      else list.push(definition.alias);
    }
  return members;
}

function selectableFromFile(
  { definition, within, follows }: FlatNode<WorkflowFile>,
  members: ReadonlyMap<string, readonly string[]>,
  known: ReadonlyMap<string, KnownEnvironment>,
): SelectableNode {
  const { alias, needs, disabled, inputs, timeoutSeconds } = definition;
  return {
    ...{ alias, within, needs, disabled, timeoutSeconds },
    live: isLive(known.get(alias)),
    // A change anywhere in a workflow is one for whatever needs the workflow.
    reads: [
      ...inputs.flatMap((input) => input.references.map((reference) => reference.alias)),
      ...follows.flatMap((path) => members.get(path) ?? []),
    ],
  };
}

/** Refuses what can be seen to fail before anything runs. */
async function check(sight: Sight, selected: readonly RunNode[]): Promise<void> {
  const { deps, run, graph, prepared } = sight;
  const toRun = new Set(selected.flatMap((node) => (node.action === 'keep' ? [] : [node.alias])));
  // One stack alone, or a disabled node that was asked for by its name.
  for (const [alias, { template: own }] of prepared)
    if (toRun.has(alias) && needsTool(own.type)) deps.runners.get(own.type);
  const stacks = graph.nodes.flatMap(({ definition: node, file, within }): CheckedStack[] => {
    const snapshot = prepared.get(node.alias)?.snapshot;
    if (snapshot === undefined || !needsTool(snapshot.type)) return [];
    const { fileName } = file;
    return [
      {
        node,
        fileName,
        within,
        snapshot,
        runs: toRun.has(node.alias),
        credentials: file.credentialsFor(snapshot.source),
      },
    ];
  });
  refuse(
    await missingDirectories(deps, stacks),
    'nothing was run',
    'correct the path, or push the directory to the revision that is used; nothing was run',
  );
  refuse(
    await undeclaredVariables(deps, run.request, stacks),
    'nothing was run',
    'give the name that the code declares',
  );
  const nodes = graph.nodes.filter(({ definition }) => toRun.has(definition.alias));
  refuse(
    await variableProblems(
      deps,
      run,
      nodes.map((node) => checkedNode(sight, node)),
      { workflow: graph.single === null },
    ),
    'nothing was run',
    `see where each value comes from: windlass variable list --environment ${run.environment_id} --effective`,
  );
}

function checkedNode({ run, graph, prepared, known }: Sight, flat: FlatNode<WorkflowFile>): CheckedNode {
  const { definition: node, file, within } = flat;
  const groups = graph.groups
    .filter(({ alias }) => within.includes(alias))
    .map(({ alias, template }): EnclosingWorkflow => {
      const environmentId = run.groups.find((group) => group.alias === alias)?.id ?? null;
      return { alias, templateId: template.id, environmentId };
    });
  return {
    ...{ node, within, groups, fileName: file.fileName },
    templateId: prepared.get(node.alias)?.template.id ?? null,
    environmentId: known.get(node.alias)?.id ?? null,
  };
}

function resolutionOf(
  { run, graph, prepared, known, removed }: Sight,
  selected: readonly RunNode[],
  ids: ReadonlyMap<string, string>,
): Resolution {
  const { settings, file, single } = graph;
  const listed = new Map(graph.nodes.map(({ definition }) => [definition.alias, definition]));
  const whole = run.type !== 'plan' && run.request.partial === undefined && single === null;
  const detached = run.type === 'plan' ? [] : removed.detached;
  return {
    nodes: selected.map((node): NewNode => {
      const record = known.get(node.alias);
      return {
        name: listed.get(node.alias)?.name ?? record?.name ?? node.alias,
        environmentId: ids.get(node.alias) ?? record?.id ?? run.environment_id,
        snapshot: prepared.get(node.alias)?.snapshot ?? (record ? fromLastRun(run, record) : null),
        previousSnapshot: record?.deployed_snapshot ?? null,
        run: node,
      };
    }),
    definition: definitionOf(run, {
      onFailure: run.request.onFailure ?? settings.onFailure,
      maxParallel: parallelOf(run, settings.maxParallel),
      detach: detached.map((node) => node.id),
      ...(whole ? { life: { schedule: settings.schedule, drift: settings.drift } } : {}),
    }),
    commit: file.commit,
    detached: detached.filter(mayExist),
  };
}
