/** Runs whose graph comes from the workflow file at its commit. */
import { checkAgainstProject, isLast, selectForDeploy, selectForPlan, unknownAliases } from '../definition/index.ts';
import type { Choice, SelectableNode } from '../definition/index.ts';
import type { NodeDefinition, NodeSnapshot, PartialRun } from '../model/index.ts';
import { needsTool, newId, WindlassError } from '../model/index.ts';
import { expectNodes, listTemplateNames, loadPastNodes, upsertSubEnvironments } from '../store/index.ts';
import type { KnownEnvironment, NewNode, RunRow } from '../store/index.ts';
import { variableProblems } from './check-variables.ts';
import { missingDirectories, undeclaredVariables } from './check-stacks.ts';
import type { CheckedStack } from './check-stacks.ts';
import type { CheckedNode } from './check-variables.ts';
import type { ResolveDeps } from './deps.ts';
import { applyMoves, detectMoves, withMoves } from './moves.ts';
import type { Moves } from './moves.ts';
import { readDefinition } from './read-definition.ts';
import type { DefinitionAtCommit } from './read-definition.ts';
import {
  aliasOf,
  baseOf,
  definitionOf,
  fromLastRun,
  isLive,
  mayExist,
  parallelOf,
  refuse,
  resumedChoice,
  selectableFromRecords,
  weighApproval,
} from './resolution.ts';
import type { Resolution } from './resolution.ts';
import { besideFile, makeSnapshot } from './snapshots.ts';
import type { NodeTemplate } from './snapshots.ts';

export async function resolveFromFile(
  deps: ResolveDeps,
  run: RunRow,
  template: NodeTemplate,
  knownBefore: readonly KnownEnvironment[],
  options: { readonly dry: boolean } = { dry: false },
): Promise<Resolution> {
  const read = await readDefinition(deps, run, template);
  const templates = await listTemplateNames(deps.db.sql, run.project_id);
  const runnable = deps.runners.supported();
  if (template.type === 'workflow')
    refuse(
      checkAgainstProject(read.definition, { templateNames: templates, fileName: read.fileName, runnable }),
      'nothing was run',
      'correct the file, or make the template it names (windlass template create), then deploy again; nothing was run',
    );
  refuse(
    unknownAliases(run.request, { known: read.definition.nodes.map((node) => node.alias), of: run.environment_name }),
    'nothing was run',
    `the nodes there are: windlass graph ${run.environment_name}`,
  );
  const moves = detectMoves(run, read.definition, knownBefore);
  const known = withMoves(moves, knownBefore);
  const byAlias = new Map(known.map((node) => [aliasOf(node), node]));
  const nodes = read.definition.nodes;
  const listed = new Map(nodes.map((node) => [node.alias, node]));
  const prepared = await prepareNodes(deps, run, read, templates, byAlias);

  const selectable = nodes.map((node): SelectableNode => {
    return {
      alias: node.alias,
      needs: node.needs,
      disabled: node.disabled,
      live: isLive(byAlias.get(node.alias)),
      reads: node.inputs.flatMap((input) => input.references.map((reference) => reference.alias)),
      timeoutSeconds: node.timeoutSeconds,
    };
  });
  const resume = run.request.resume ? await resumeOf(deps, run, run.request.resume.deployment) : undefined;
  const removedKnown =
    run.request.partial || resume?.whole === false || template.type !== 'workflow'
      ? []
      : known.filter((node) => !listed.has(aliasOf(node)));
  const settings = read.definition.settings;
  const destroyRemoved = settings.environmentRemovalStrategy === 'destroy';
  const removed = destroyRemoved ? removedKnown.filter(mayExist) : [];
  const selection =
    run.type === 'plan'
      ? {
          nodes: selectForPlan(selectable, {
            only: run.request.partial?.node,
            removed: selectableFromRecords(removed).toReversed(),
            detached: destroyRemoved ? [] : selectableFromRecords(removedKnown.filter(mayExist)).toReversed(),
          }),
          problems: [],
        }
      : selectForDeploy(selectable, {
          partial: run.request.partial ?? resume?.partial,
          choose: resume?.choose,
          removed: selectableFromRecords(removed),
          others: removed.length > 0 ? selectableFromRecords(known) : [],
        });
  refuse(selection.problems, 'nothing was run', `the nodes there are: windlass graph ${run.environment_name}`);
  // One stack alone, or a disabled node that was asked for by its name.
  const toRun = new Set(selection.nodes.flatMap((node) => (node.action === 'keep' ? [] : [node.alias])));
  for (const [alias, { template: own }] of prepared)
    if (toRun.has(alias) && needsTool(own.type)) deps.runners.get(own.type);
  const stacks = nodes.flatMap((node): CheckedStack[] => {
    const snapshot = prepared.get(node.alias)?.snapshot;
    if (snapshot === undefined || !needsTool(snapshot.type)) return [];
    return [{ node, snapshot, runs: toRun.has(node.alias), credentials: read.credentialsFor(snapshot.source) }];
  });
  refuse(
    await missingDirectories(deps, stacks, read.fileName),
    'nothing was run',
    'correct the path, or push the directory to the revision that is used; nothing was run',
  );
  refuse(
    await undeclaredVariables(deps, run.request, stacks),
    'nothing was run',
    'give the name that the code declares',
  );

  const toCheck = selection.nodes.flatMap(({ alias, action }): CheckedNode[] => {
    const node = listed.get(alias);
    if (node === undefined || action === 'keep') return [];
    const templateId = prepared.get(alias)?.template.id ?? null;
    return [{ node, templateId, environmentId: byAlias.get(alias)?.id ?? null }];
  });
  const { fileName } = read;
  refuse(
    await variableProblems(deps, run, toCheck, { fileName, workflow: template.type === 'workflow' }),
    'nothing was run',
    `see where each value comes from: windlass variable list --environment ${run.environment_id} --effective`,
  );

  // Nothing is refused from here on, so the records may follow the file.
  const ids = options.dry
    ? new Map<string, string>()
    : await followFile(deps, run, { template, nodes, prepared, moves, byAlias });
  const allKnown = new Map([...byAlias, ...removedKnown.map((node) => [aliasOf(node), node] as const)]);
  return {
    nodes: selection.nodes.map((node): NewNode => {
      const record = allKnown.get(node.alias);
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
      detach: destroyRemoved || run.type === 'plan' ? [] : removedKnown.map((node) => node.id),
      ...(run.type === 'plan' || run.request.partial || template.type !== 'workflow'
        ? {}
        : { life: { schedule: settings.schedule, drift: settings.drift } }),
    }),
    commit: read.file.commit,
    letGo: destroyRemoved || run.type === 'plan' ? [] : removedKnown.filter(mayExist),
  };
}

interface Resume {
  /** The run that is resumed was for the whole graph. One for a part of it stays within that part. */
  readonly whole: boolean;
  /** The part it was for. */
  readonly partial: PartialRun | undefined;
  /** undefined when that run never knew its nodes: then everything it was for is run. */
  readonly choose: ((alias: string) => Choice) | undefined;
}

/** What a resume does to each node of the refreshed file. */
async function resumeOf(deps: ResolveDeps, run: RunRow, reference: string): Promise<Resume> {
  let base = await baseOf(deps, run, reference);
  let past = await loadPastNodes(deps.db.sql, base.id);
  while (past.length === 0 && base.request.resume !== undefined) {
    base = await baseOf(deps, run, base.request.resume.deployment);
    past = await loadPastNodes(deps.db.sql, base.id);
  }
  let first = base;
  while (first.request.resume !== undefined) first = await baseOf(deps, run, first.request.resume.deployment);
  const { partial, restoreNodes } = first.request;
  const destroys = past.some((node) => node.action === 'destroy' && !isLast(node.engine));
  if (destroys || partial?.operation === 'single-node-destroy' || restoreNodes !== undefined) {
    throw new WindlassError('conflict', `deployment ${base.number} does not deploy what the file says`, {
      class: 'definition',
      hint: 'resume it without the refreshed file',
    });
  }
  const whole = partial === undefined;
  if (past.length === 0) return { whole, partial, choose: undefined };
  const byAlias = new Map(past.map((node) => [node.alias, node]));
  const choose = (alias: string): Choice => {
    const node = byAlias.get(alias);
    if (node === undefined) return whole ? 'run' : 'keep';
    // The file may have it enabled by now.
    if (node.action === 'keep') return whole && node.reason?.kind === 'disabled' ? 'run' : 'keep';
    return resumedChoice(node, past);
  };
  return { whole, partial, choose };
}

interface PreparedNode {
  readonly template: NodeTemplate;
  readonly snapshot: NodeSnapshot;
}

/** Finds each node's code at its commit; every distinct source is asked once. */
async function prepareNodes(
  deps: ResolveDeps,
  run: RunRow,
  read: DefinitionAtCommit,
  templates: Awaited<ReturnType<typeof listTemplateNames>>,
  known: ReadonlyMap<string, KnownEnvironment>,
): Promise<Map<string, PreparedNode>> {
  const byName = new Map(templates.map((template) => [template.name, template]));
  const commits = new Map<string, Promise<{ commit: string }>>();
  const commitOf = (source: NodeTemplate['source'], revision: string | null): Promise<{ commit: string }> => {
    const key = JSON.stringify([{ ...source, path: '' }, revision]);
    let asked = commits.get(key);
    if (asked === undefined)
      commits.set(key, (asked = deps.sources.resolve(source, { revision, credentials: read.credentialsFor(source) })));
    return asked;
  };
  const entries = await Promise.all(
    read.definition.nodes.map(async (node): Promise<[string, PreparedNode]> => {
      const { template, own } = nodeTemplate(node, read, byName);
      const { commit } =
        own && node.revision === undefined ? read.file : await commitOf(template.source, node.revision ?? null);
      const snapshot = makeSnapshot({ deploymentId: run.id, projectId: run.project_id }, deps.secrets, {
        node,
        template,
        commit,
        workspace: node.workspace ?? run.workspace,
        request: run.request,
        requiresApproval: weighApproval(run, {
          alias: node.alias,
          file: node.requiresApproval,
          record: known.get(node.alias),
        }),
      });
      return [node.alias, { template, snapshot }];
    }),
  );
  return new Map(entries);
}

function nodeTemplate(
  node: NodeDefinition,
  read: DefinitionAtCommit,
  byName: ReadonlyMap<string, Awaited<ReturnType<typeof listTemplateNames>>[number]>,
): { template: NodeTemplate; own: boolean } {
  if (read.single !== null) return { template: read.single, own: true };
  if (node.inline !== undefined) {
    const { type, source, config } = node.inline;
    const own = source.kind === 'own';
    const template: NodeTemplate = {
      id: null,
      name: node.name,
      type,
      source: own ? besideFile(read.file, source.path) : source,
      config,
      retryOnDeploy: null,
      retryOnDestroy: null,
    };
    return { template, own };
  }
  const stored = byName.get(node.templateName ?? '');
  if (stored === undefined)
    throw new WindlassError('invalidDefinition', `the template "${node.templateName}" of "${node.alias}" is missing`, {
      class: 'definition',
    });
  return {
    template: {
      id: stored.id,
      name: stored.name,
      type: stored.type,
      source: stored.source,
      config: stored.config,
      retryOnDeploy: stored.retryOnDeploy,
      retryOnDestroy: stored.retryOnDestroy,
    },
    own: false,
  };
}

interface Following {
  readonly template: NodeTemplate;
  readonly nodes: readonly NodeDefinition[];
  readonly prepared: ReadonlyMap<string, PreparedNode>;
  readonly moves: Moves;
  readonly byAlias: ReadonlyMap<string, KnownEnvironment>;
}

/** Renames and makes sub-environments as the file has them. Answers the id of each alias. */
async function followFile(deps: ResolveDeps, run: RunRow, following: Following): Promise<Map<string, string>> {
  const { moves, nodes, byAlias } = following;
  if (run.type !== 'plan') await applyMoves(deps.db.sql, run, moves);
  // A plan renames nothing: what was moved is planned as the sub-environment that it still is.
  const moved = new Set(run.type === 'plan' ? moves.values() : []);
  const ids = await ensureEnvironments(deps, run, {
    ...following,
    nodes: nodes.filter(({ alias }) => !moved.has(alias)),
  });
  for (const alias of moved) ids.set(alias, byAlias.get(alias)?.id ?? run.environment_id);
  return ids;
}

async function ensureEnvironments(
  deps: ResolveDeps,
  run: RunRow,
  { template, nodes, prepared, byAlias: known }: Following,
): Promise<Map<string, string>> {
  if (template.type !== 'workflow') return new Map(nodes.map((node) => [node.alias, run.environment_id]));
  const ids = await upsertSubEnvironments(
    deps.db.sql,
    { id: run.environment_id, projectId: run.project_id },
    nodes.map((node) => {
      const own = prepared.get(node.alias)?.template;
      return {
        newId: known.get(node.alias)?.id ?? newId('env'),
        alias: node.alias,
        name: node.name,
        templateId: own?.id ?? null,
        inline: own && own.id === null ? { type: own.type, source: own.source, config: own.config } : null,
        workspace: node.workspace ?? null,
        revision: node.revision ?? null,
      };
    }),
  );
  if (run.type !== 'plan') {
    const wanted = nodes.filter((node) => !node.disabled).map((node) => node.alias);
    await expectNodes(deps.db.sql, run.environment_id, wanted);
  }
  return ids;
}
