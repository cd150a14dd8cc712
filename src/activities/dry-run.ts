import type { Actor, Problem, Source, Template } from '../model/index.ts';
import { deploymentRequestSchema, environmentSettingsSchema, WindlassError } from '../model/index.ts';
import type { DryRun, DryRunAsk, DryRunNode, RunResolver, SourceChange, WorkflowsAsk } from '../operations/index.ts';
import {
  buildUnsavedRun,
  listTemplateNames,
  loadPastNodes,
  loadRevisions,
  loadRun,
  sealRequest,
} from '../store/index.ts';
import type { RunRow } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';
import { resolve } from './resolve-deployment.ts';
import type { Resolution } from './resolution.ts';
import { templateOfEnvironment } from './node-templates.ts';
import { sourceCredentials } from './read-definition.ts';
import { readGraph } from './read-graph.ts';

/** A request waits for its answer: what takes longer to read is left to the run itself. */
const withinMs = 5_000;
/** Stands for the run that there is not yet. */
const previewId = 'preview';

/** Works out what runs would do, with the code that the runs themselves use. */
export function createRunResolver(deps: ResolveDeps): RunResolver {
  return {
    async resolve(ask) {
      const limited = withReadTimeout(deps);
      const run = await unsavedRun(deps, ask);
      return dryRunOf(await resolve(limited, run, { dry: true, pending: ask.pending }));
    },
    checkWorkflows: (ask) => checkWorkflows(withReadTimeout(deps), ask),
    changedSince: (deploymentId) => changedSince(withReadTimeout(deps), deploymentId),
  };
}

/** The same, but sources are read for a limited time. */
function withReadTimeout(deps: ResolveDeps): ResolveDeps {
  const signal = AbortSignal.timeout(withinMs);
  const { sources } = deps;
  return {
    ...deps,
    sources: {
      ...sources,
      resolve: (source, options) => sources.resolve(source, { ...options, signal }),
      checkout: (source, commit, options) => sources.checkout(source, commit, { ...options, signal }),
    },
  };
}

function unsavedRun({ db, secrets }: ResolveDeps, { environmentId, type, request }: DryRunAsk): Promise<RunRow> {
  return buildUnsavedRun(db.sql, environmentId, {
    id: previewId,
    type,
    request: sealRequest(secrets, previewId, request),
    requested_by: { kind: 'system', id: previewId, name: previewId, from: null },
  });
}

function dryRunOf({ nodes, commit, basedOn, detached = [] }: Resolution): DryRun {
  return {
    commit,
    basedOn: basedOn ?? null,
    nodes: [
      ...nodes.map(({ name, environmentId, snapshot, run }): DryRunNode => ({
        alias: run.alias,
        name,
        environmentId: environmentId === '' ? null : environmentId,
        action: run.action,
        removal: run.removal ?? null,
        because: run.keptBecause?.message ?? null,
        commit: snapshot?.commit ?? null,
      })),
      ...detached.map((record): DryRunNode => ({
        alias: record.alias ?? record.name,
        name: record.name,
        environmentId: record.id,
        action: 'keep',
        removal: 'detach',
        because: 'no longer in the file: it is let go, and its resources stay',
        commit: null,
      })),
    ],
  };
}

async function checkWorkflows(deps: ResolveDeps, { project, templates, fileName }: WorkflowsAsk): Promise<Problem[]> {
  const stored = new Map((await listTemplateNames(deps.db.sql, project.id)).map((each) => [each.name, each]));
  const beneath = [{ name: fileName, path: '', keys: [] }];
  const found: Problem[][] = [];
  for (const template of templates) {
    const run = { ...unsavedRunOfTemplate(project, template), groups: [] };
    found.push(
      await readGraph(deps, run, { template, stored, isLive: () => false, beneath }).then(
        () => [],
        (thrown: unknown) => {
          if (!(thrown instanceof WindlassError)) throw thrown;
          if (thrown.code === 'sourceUnavailable') return [];
          return [...(thrown.problems ?? [{ message: `template "${template.name}": ${thrown.message}` }])];
        },
      ),
    );
  }
  return found.flat();
}

/** A plan of a template before there is an environment of it. */
function unsavedRunOfTemplate(project: WorkflowsAsk['project'], template: Template): RunRow {
  const actor: Actor = { kind: 'system', id: previewId, name: previewId, from: null };
  return {
    ...{ id: previewId, number: 0, type: 'plan', status: 'queued', over: false, begun: false, stop_mode: null },
    ...{ trigger: 'api', requested_by: actor, may_waive_approval: false, definition: null, source_commit: null },
    request: deploymentRequestSchema.parse({ type: 'plan' }),
    ...{ environment_id: previewId, environment_name: template.name, environment_status: 'neverDeployed' },
    ...{ template_id: template.id, inline_template: null, workspace: null, revision: null, limits: [] },
    settings: environmentSettingsSchema.parse({}),
    project_id: project.id,
    organization_id: project.organizationId,
  };
}

async function changedSince(deps: ResolveDeps, deploymentId: string): Promise<SourceChange[]> {
  const run = await loadRun(deps.db.sql, deploymentId);
  if (run === null) return [];
  const asked = new Map<string, Promise<string | null>>();
  const credentialsFor = await sourceCredentials(deps, run);
  // What cannot be told now is no change: a run that needs the source says what is wrong with it.
  const read = async (source: Source, revision: string | null): Promise<string | null> => {
    try {
      return (await deps.sources.resolve(source, { revision, credentials: credentialsFor(source) })).commit;
    } catch {
      return null;
    }
  };
  const now = (source: Source, revision: string | null): Promise<string | null> => {
    const key = JSON.stringify([{ ...source, path: '' }, revision]);
    const known = asked.get(key) ?? read(source, revision);
    asked.set(key, known);
    return known;
  };
  const changes = new Map<string, SourceChange>();
  const note = (what: string, was: string, is: string | null): void => {
    if (is !== null && is !== was) changes.set(`${was} ${is}`, { what, was, now: is });
  };
  if (run.source_commit !== null) {
    const { source } = await templateOfEnvironment(deps, run);
    const what = source.kind === 'local' ? source.directory : source.repository;
    note(what, run.source_commit, await now(source, run.request.revision ?? run.revision));
  }
  const past = await loadPastNodes(deps.db.sql, deploymentId);
  const revisions = await loadRevisions(deps.db.sql, run.environment_id);
  for (const { snapshot, status, environment_id } of past) {
    if (snapshot === null || status === 'succeeded' || snapshot.commit === run.source_commit) continue;
    const { revision = null, ofWorkflow = false } = revisions.get(environment_id) ?? {};
    // Whether its code lies beside the workflow's file, at that one's revision, is not on record.
    if (revision === null && ofWorkflow) continue;
    const { source } = snapshot;
    const what = source.kind === 'local' ? source.directory : source.repository;
    note(what, snapshot.commit, await now(source, revision));
  }
  return [...changes.values()];
}
