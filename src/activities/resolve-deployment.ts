import { ApplicationFailure, heartbeat } from '@temporalio/activity';
import {
  approvalNeeded,
  checkAgainstProject,
  selectForDeploy,
  selectForDestroy,
  selectForReading,
} from '../definition/index.ts';
import type { SelectableNode } from '../definition/index.ts';
import type { NodeDefinition, NodeSnapshot, NodeStatus, Problem, ResolvedRun, RunNode } from '../model/index.ts';
import { newId, WindlassError } from '../model/index.ts';
import { listTemplateNames } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { applyMoves, detectMoves } from './moves.ts';
import { readDefinition } from './read-definition.ts';
import type { DefinitionAtCommit } from './read-definition.ts';
import {
  findDeployment,
  insertNodes,
  lastSuccessBefore,
  loadEngineNodes,
  loadKnown,
  loadPastNodes,
  loadRun,
  loadSnapshotsAsOf,
  otherOpenRun,
  setEnvironmentStatus,
  setRunStatus,
  upsertSubEnvironments,
} from './run-store.ts';
import type { KnownEnvironment, NewNode, RunDefinition, RunRow } from './run-store.ts';
import { besideFile, makeSnapshot } from './snapshots.ts';
import type { NodeTemplate } from './snapshots.ts';
import { templateOfNode } from './read-definition.ts';

/** Nodes at once when neither the file, the environment nor the project says how many. */
const defaultMaxParallel = 200;

interface Resolution {
  readonly nodes: readonly NewNode[];
  readonly definition: RunDefinition;
  readonly commit: string | null;
  readonly basedOn?: string | undefined;
}

/** See DeploymentActivities.resolveDeployment. */
export async function resolveDeployment(deps: ActivityDeps, deploymentId: string): Promise<ResolvedRun> {
  const run = await loadRun(deps.db.sql, deploymentId);
  if (run === null)
    throw ApplicationFailure.nonRetryable(`deployment ${deploymentId} is not in the database`, 'notFound');
  const beating = setInterval(() => heartbeat(), 5000);
  try {
    if (run.definition !== null) return answer(run, run.definition, await loadEngineNodes(deps.db.sql, deploymentId));
    await waitForTurn(deps, run);
    await begin(deps, run);
    const resolution = await resolve(deps, run);
    await deps.db.transaction(async (tx) => {
      await insertNodes(tx, run.id, resolution.nodes);
      await tx
        .updateTable('deployments')
        .set({
          definition: JSON.stringify(resolution.definition),
          source_commit: resolution.commit,
          ...(resolution.basedOn === undefined ? {} : { based_on: resolution.basedOn }),
        })
        .where('id', '=', run.id)
        .execute();
    });
    return answer(
      run,
      resolution.definition,
      resolution.nodes.map((node) => node.run),
    );
  } catch (error) {
    if (!(error instanceof WindlassError) || error.code === 'unavailable') throw error;
    const problems = error.problems ?? [];
    const runError = {
      class: error.class === 'internal' ? 'definition' : error.class,
      message: error.message,
      hint: error.hint,
      problems,
    };
    await deps.db.sql
      .updateTable('deployments')
      .set({ error: JSON.stringify(runError) })
      .where('id', '=', run.id)
      .execute();
    throw ApplicationFailure.nonRetryable(error.message, error.code);
  } finally {
    clearInterval(beating);
  }
}

function answer(run: RunRow, definition: RunDefinition, nodes: readonly RunNode[]): ResolvedRun {
  return {
    title: definition.title,
    type: run.type,
    environmentId: run.environment_id,
    projectId: run.project_id,
    nodes,
    onFailure: definition.onFailure,
    maxParallel: definition.maxParallel,
  };
}

/** Two runs of one environment never change it at once, even when the workflow that keeps the queue was ended by hand. */
async function waitForTurn(deps: ActivityDeps, run: RunRow): Promise<void> {
  if (run.type === 'plan' || run.type === 'drift') return;
  const other = await otherOpenRun(deps.db.sql, run);
  if (other === null) return;
  throw ApplicationFailure.create({
    message: `deployment ${other} of this environment is still running`,
    type: 'notYet',
    nextRetryDelay: '3 seconds',
    category: 'BENIGN',
  });
}

async function begin(deps: ActivityDeps, run: RunRow): Promise<void> {
  await deps.db.transaction(async (tx) => {
    await setRunStatus(tx, run.id, { status: 'running' });
    const status =
      run.type === 'destroy'
        ? 'destroyInProgress'
        : run.type === 'deploy' || run.type === 'rollback'
          ? 'deployInProgress'
          : null;
    if (status !== null) await setEnvironmentStatus(tx, run.environment_id, status, run.id);
  });
}

async function resolve(deps: ActivityDeps, run: RunRow): Promise<Resolution> {
  const template = await templateOfNode(deps, run);
  const workflow = template.type === 'workflow';
  const known = await loadKnown(deps.db.sql, run.environment_id, workflow);
  switch (run.type) {
    case 'destroy':
      return resolveDestroy(run, known);
    case 'drift':
      return resolveDrift(run, known);
    case 'rollback':
      return resolveRollback(deps, run, known);
    case 'deploy':
    case 'plan':
      if (run.request.partial?.operation === 'single-node-destroy') return resolveSingleDestroy(run, known);
      if (run.request.restoreNodes !== undefined) return resolveRestore(run, known, run.request.restoreNodes);
      if (run.request.resume && !run.request.resume.refresh)
        return resolveResume(deps, run, known, run.request.resume.deployment);
      return resolveFromFile(deps, run, template, known);
  }
}

const aliasOf = (known: KnownEnvironment): string => known.alias ?? 'main';
const isLive = (known: KnownEnvironment | undefined): boolean =>
  known !== undefined && known.deployed_snapshot !== null && known.status !== 'inactive';
/** It may have resources, from a success or from a try that got stuck half-way. */
const mayExist = (known: KnownEnvironment): boolean =>
  known.status !== 'inactive' && (known.deployed_snapshot !== null || known.begun_snapshot !== null);
/** The code that last worked on it: what a destroy must run. */
const lastSnapshot = (known: KnownEnvironment): NodeSnapshot | null => known.begun_snapshot ?? known.deployed_snapshot;

function selectableFromRecords(known: readonly KnownEnvironment[]): SelectableNode[] {
  return known.map((node) => ({
    alias: aliasOf(node),
    needs: lastSnapshot(node)?.needs ?? [],
    disabled: false,
    live: isLive(node),
  }));
}

function fromRecords(run: RunRow, known: readonly KnownEnvironment[], nodes: readonly RunNode[]): NewNode[] {
  const byAlias = new Map(known.map((node) => [aliasOf(node), node]));
  return nodes.flatMap((node) => {
    const record = byAlias.get(node.alias);
    if (record === undefined) return [];
    return [
      {
        name: record.name,
        environmentId: record.id,
        snapshot: withApproval(run, node, record),
        previousSnapshot: record.deployed_snapshot,
        run: node,
      },
    ];
  });
}

/** Whether a destroy needs a person is decided anew: the deploy that made the snapshot may have waived it for itself alone. */
function withApproval(run: RunRow, node: RunNode, record: KnownEnvironment): NodeSnapshot | null {
  const snapshot = lastSnapshot(record);
  if (snapshot === null || node.action !== 'destroy') return snapshot;
  const { needed } = approvalNeeded({
    request: run.request.nodeApprovals?.[node.alias] ?? run.request.requiresApproval,
    file: snapshot.approvalInFile ?? undefined,
    saved: record.settings.requiresApproval,
  });
  return { ...snapshot, requiresApproval: needed };
}

function definitionOf(run: RunRow, over: Partial<RunDefinition> = {}): RunDefinition {
  const verb = { deploy: 'Deploy', destroy: 'Destroy', plan: 'Plan', drift: 'Check drift of', rollback: 'Roll back' }[
    run.type
  ];
  return {
    title: `${verb} "${run.environment_name}" #${run.number}`,
    onFailure: run.request.onFailure ?? 'continue',
    maxParallel: run.settings.maxParallel ?? defaultMaxParallel,
    detach: [],
    ...over,
  };
}

function resolveDestroy(run: RunRow, known: readonly KnownEnvironment[]): Resolution {
  const existing = known.filter(mayExist);
  return {
    nodes: fromRecords(run, existing, selectForDestroy(selectableFromRecords(existing))),
    definition: definitionOf(run),
    commit: null,
  };
}

function resolveSingleDestroy(run: RunRow, known: readonly KnownEnvironment[]): Resolution {
  const { nodes, problems } = selectForDeploy(selectableFromRecords(known), { partial: run.request.partial });
  refuse(problems, 'nothing was destroyed');
  return { nodes: fromRecords(run, known, nodes), definition: definitionOf(run), commit: null };
}

function resolveDrift(run: RunRow, known: readonly KnownEnvironment[]): Resolution {
  const nodes = selectForReading(selectableFromRecords(known), 'drift', run.request.partial?.node);
  return {
    nodes: fromRecords(run, known, nodes),
    definition: definitionOf(run, { maxParallel: run.settings.drift?.maxParallel ?? 4 }),
    commit: null,
  };
}

/** Brings single nodes back to what was deployed, with the code a check for drift compares with. */
function resolveRestore(run: RunRow, known: readonly KnownEnvironment[], aliases: readonly string[]): Resolution {
  const wanted = new Set(aliases);
  const strangers = aliases.filter((alias) => !known.some((node) => aliasOf(node) === alias && isLive(node)));
  refuse(
    strangers.map((alias) => ({ message: `"${alias}" is not deployed, so it cannot be restored` })),
    'nothing was run',
  );
  const resumed = new Map(
    known.map((node) => [aliasOf(node), wanted.has(aliasOf(node)) ? ('pending' as const) : ('succeeded' as const)]),
  );
  const { nodes } = selectForDeploy(selectableFromRecords(known), { resumed });
  const asked = run.request.requiresApproval;
  return {
    nodes: fromRecords(run, known, nodes).map((node) =>
      asked === undefined || node.snapshot === null
        ? node
        : { ...node, snapshot: { ...node.snapshot, requiresApproval: asked } },
    ),
    definition: definitionOf(run),
    commit: null,
  };
}

async function resolveResume(
  deps: ActivityDeps,
  run: RunRow,
  known: readonly KnownEnvironment[],
  reference: string,
): Promise<Resolution> {
  const base = await findDeployment(deps.db.sql, run.environment_id, reference);
  if (base === null)
    throw new WindlassError('notFound', `deployment ${reference} is not one of "${run.environment_name}"`, {
      class: 'definition',
    });
  const past = await loadPastNodes(deps.db.sql, base.id);
  const knownById = new Map(known.map((node) => [node.id, node]));
  const nodes = past.map((node): NewNode => {
    const record = knownById.get(node.environment_id);
    const keep = node.status === 'succeeded' || node.action === 'keep';
    return {
      name: record?.name ?? node.alias,
      environmentId: node.environment_id,
      snapshot: node.snapshot,
      previousSnapshot: record?.deployed_snapshot ?? null,
      run: keep
        ? {
            alias: node.alias,
            needs: node.needs,
            action: 'keep',
            satisfied: node.status === 'succeeded' || isLive(record),
            keptBecause: { kind: 'notSelected', message: `done in deployment ${base.number}` },
          }
        : { alias: node.alias, needs: node.needs, action: node.action },
    };
  });
  return { nodes, definition: definitionOf(run), commit: null, basedOn: base.id };
}

async function resolveRollback(
  deps: ActivityDeps,
  run: RunRow,
  known: readonly KnownEnvironment[],
): Promise<Resolution> {
  const wanted = run.request.rollbackTo;
  const target =
    wanted === undefined
      ? await lastSuccessBefore(deps.db.sql, run.environment_id, run.id)
      : await findDeployment(deps.db.sql, run.environment_id, wanted);
  if (target === null) {
    throw new WindlassError(
      'conflict',
      `"${run.environment_name}" has no earlier successful deployment to go back to`,
      {
        class: 'definition',
        hint: 'destroy it instead, or name a deployment with --to',
      },
    );
  }
  const asOf = await loadSnapshotsAsOf(deps.db.sql, run.environment_id, target.number);
  const restored = known.filter((node) => asOf.has(node.id));
  const created = known.filter((node) => !asOf.has(node.id) && mayExist(node));
  const selectable = (
    nodes: readonly KnownEnvironment[],
    snapshot: (node: KnownEnvironment) => NodeSnapshot | null,
  ): SelectableNode[] =>
    nodes.map((node) => ({
      alias: aliasOf(node),
      needs: snapshot(node)?.needs ?? [],
      disabled: false,
      live: isLive(node),
    }));
  const { nodes } = selectForDeploy(
    selectable(restored, (node) => asOf.get(node.id) ?? null),
    { removed: selectable(created, lastSnapshot) },
  );
  const byAlias = new Map(known.map((node) => [aliasOf(node), node]));
  return {
    nodes: nodes.flatMap((node): NewNode[] => {
      const record = byAlias.get(node.alias);
      if (record === undefined) return [];
      const snapshot = node.action === 'destroy' ? lastSnapshot(record) : (asOf.get(record.id) ?? null);
      return [
        {
          name: record.name,
          environmentId: record.id,
          snapshot,
          previousSnapshot: record.deployed_snapshot,
          run: node,
        },
      ];
    }),
    definition: definitionOf(run),
    commit: null,
    basedOn: target.id,
  };
}

async function resolveFromFile(
  deps: ActivityDeps,
  run: RunRow,
  template: NodeTemplate,
  knownBefore: readonly KnownEnvironment[],
): Promise<Resolution> {
  const read = await readDefinition(deps, run, template);
  const templates = await listTemplateNames(deps.db.sql, run.project_id);
  if (template.type === 'workflow')
    refuse(
      checkAgainstProject(read.definition, { templateNames: templates, fileName: read.fileName }),
      'nothing was run',
    );
  const moves = detectMoves(run, read.definition, knownBefore);
  const known = run.type === 'plan' ? knownBefore : await applyMoves(deps.db.sql, run, moves, knownBefore);
  const byAlias = new Map(known.map((node) => [aliasOf(node), node]));
  const nodes = read.definition.nodes;
  const prepared = await prepareNodes(deps, run, read, templates);
  const ids = await ensureEnvironments(deps, run, template, nodes, prepared, byAlias);

  const selectable = nodes.map((node): SelectableNode => {
    return {
      alias: node.alias,
      needs: node.needs,
      disabled: node.disabled,
      live: isLive(byAlias.get(node.alias)),
      timeoutSeconds: node.timeoutSeconds,
    };
  });
  const removedKnown =
    run.request.partial || template.type !== 'workflow'
      ? []
      : known.filter((node) => !nodes.some((listed) => listed.alias === aliasOf(node)));
  const settings = read.definition.settings;
  const destroyRemoved = settings.environmentRemovalStrategy === 'destroy';
  const removed = destroyRemoved ? removedKnown.filter(mayExist) : [];
  const resumed = run.request.resume ? await statusesOf(deps, run, run.request.resume.deployment) : undefined;
  const selection =
    run.type === 'plan'
      ? { nodes: selectForReading(selectable, 'plan', run.request.partial?.node), problems: [] }
      : selectForDeploy(selectable, { partial: run.request.partial, resumed, removed: selectableFromRecords(removed) });
  refuse(selection.problems, 'nothing was run');

  const allKnown = new Map([...byAlias, ...removed.map((node) => [aliasOf(node), node] as const)]);
  return {
    nodes: selection.nodes.map((node): NewNode => {
      const record = allKnown.get(node.alias);
      return {
        name: nodes.find((listed) => listed.alias === node.alias)?.name ?? record?.name ?? node.alias,
        environmentId: ids.get(node.alias) ?? record?.id ?? run.environment_id,
        snapshot: prepared.get(node.alias)?.snapshot ?? (record ? lastSnapshot(record) : null),
        previousSnapshot: record?.deployed_snapshot ?? null,
        run: node,
      };
    }),
    definition: definitionOf(run, {
      onFailure: run.request.onFailure ?? settings.onFailure,
      maxParallel: settings.maxParallel ?? run.settings.maxParallel ?? defaultMaxParallel,
      detach: destroyRemoved || run.type === 'plan' ? [] : removedKnown.map((node) => node.id),
    }),
    commit: read.file.commit,
  };
}

interface PreparedNode {
  readonly template: NodeTemplate;
  readonly snapshot: NodeSnapshot;
}

/** Finds each node's code at its commit; every distinct source is asked once. */
async function prepareNodes(
  deps: ActivityDeps,
  run: RunRow,
  read: DefinitionAtCommit,
  templates: Awaited<ReturnType<typeof listTemplateNames>>,
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
      const approval = approvalNeeded({
        request: run.request.nodeApprovals?.[node.alias] ?? run.request.requiresApproval,
        file: node.requiresApproval,
        saved: read.savedApproval(node.alias),
      });
      const snapshot = makeSnapshot({ deploymentId: run.id, projectId: run.project_id }, deps.secrets, {
        node,
        template,
        commit,
        workspace: node.workspace ?? run.workspace,
        request: run.request,
        requiresApproval: approval.needed,
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
    },
    own: false,
  };
}

async function ensureEnvironments(
  deps: ActivityDeps,
  run: RunRow,
  template: NodeTemplate,
  nodes: readonly NodeDefinition[],
  prepared: ReadonlyMap<string, PreparedNode>,
  known: ReadonlyMap<string, KnownEnvironment>,
): Promise<Map<string, string>> {
  if (template.type !== 'workflow') return new Map(nodes.map((node) => [node.alias, run.environment_id]));
  return upsertSubEnvironments(
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
}

async function statusesOf(deps: ActivityDeps, run: RunRow, reference: string): Promise<Map<string, NodeStatus>> {
  const base = await findDeployment(deps.db.sql, run.environment_id, reference);
  if (base === null)
    throw new WindlassError('notFound', `deployment ${reference} is not one of "${run.environment_name}"`, {
      class: 'definition',
    });
  return new Map((await loadPastNodes(deps.db.sql, base.id)).map((node) => [node.alias, node.status]));
}

function refuse(problems: readonly Problem[], consequence: string): void {
  if (problems.length === 0) return;
  const first = problems[0]?.message ?? '';
  throw new WindlassError(
    'invalidDefinition',
    problems.length === 1 ? first : `${problems.length} problems, ${consequence}: ${first}`,
    {
      class: 'definition',
      problems,
    },
  );
}
