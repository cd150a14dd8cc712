import { sql } from 'kysely';
import type { Source } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import type { Outlook, OutlookAsk, OutlookNode, RunResolver, SourceChange } from '../operations/index.ts';
import { sealRequest } from '../store/index.ts';
import type { Db } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';
import { resolve } from './resolve-deployment.ts';
import type { Resolution } from './resolution.ts';
import { loadPastNodes, loadRun, runRowSchema } from './run-store.ts';
import type { RunRow } from './run-store.ts';
import { sourceCredentials, templateOfNode } from './read-definition.ts';

/** A request waits for its answer: what takes longer to read is left to the run itself. */
const withinMs = 5_000;
/** Stands for the run that there is not yet. */
const nobody = 'preview';

/** Works out what runs would do, with the code that the runs themselves use. */
export function createRunResolver(deps: ResolveDeps): RunResolver {
  return {
    async resolve(ask) {
      const limited = inTime(deps);
      const run = await rowOf(deps, ask);
      return outlookOf(await resolve(limited, run, { dry: true, pending: ask.pending }));
    },
    changedSince: (deploymentId) => changedSince(inTime(deps), deploymentId),
  };
}

/** The same, but sources are read for a limited time. */
function inTime(deps: ResolveDeps): ResolveDeps {
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

async function rowOf(deps: ResolveDeps, ask: OutlookAsk): Promise<RunRow> {
  const row = await environmentRow(deps.db.sql, ask.environmentId);
  return runRowSchema.parse({
    ...row,
    id: nobody,
    number: 0,
    type: ask.type,
    status: 'queued',
    over: false,
    begun: false,
    stop_mode: null,
    trigger: 'api',
    request: sealRequest(deps.secrets, nobody, ask.request),
    requested_by: { kind: 'system', id: nobody, name: nobody, from: null },
    may_waive_approval: false,
    definition: null,
  });
}

async function environmentRow(db: Db, environmentId: string): Promise<object> {
  const { rows } = await sql<object>`
    SELECT e.id AS environment_id, e.name AS environment_name, e.status AS environment_status, e.template_id, e.inline_template,
      e.workspace, e.revision, e.settings, e.project_id, p.organization_id,
      jsonb_build_array(p.settings -> 'maxParallel', o.settings -> 'maxParallel') AS limits
    FROM environments e JOIN projects p ON p.id = e.project_id JOIN organizations o ON o.id = p.organization_id
    WHERE e.id = ${environmentId}`.execute(db);
  if (rows[0] === undefined) throw new WindlassError('notFound', `there is no environment ${environmentId}`);
  return rows[0];
}

function outlookOf({ nodes, commit, basedOn, letGo = [] }: Resolution): Outlook {
  return {
    commit,
    basedOn: basedOn ?? null,
    nodes: [
      ...nodes.map(({ name, environmentId, snapshot, run }): OutlookNode => ({
        alias: run.alias,
        name,
        environmentId: environmentId === '' ? null : environmentId,
        action: run.action,
        removal: run.removal ?? null,
        because: run.keptBecause?.message ?? null,
        commit: snapshot?.commit ?? null,
      })),
      ...letGo.map((record): OutlookNode => ({
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
    const { source } = await templateOfNode(deps, run);
    const what = source.kind === 'local' ? source.directory : source.repository;
    note(what, run.source_commit, await now(source, run.request.revision ?? run.revision));
  }
  const past = await loadPastNodes(deps.db.sql, deploymentId);
  const revisions = await revisionsOf(deps.db.sql, run.environment_id);
  for (const { snapshot, status, environment_id } of past) {
    if (snapshot === null || status === 'succeeded' || snapshot.commit === run.source_commit) continue;
    const { source } = snapshot;
    const what = source.kind === 'local' ? source.directory : source.repository;
    note(what, snapshot.commit, await now(source, revisions.get(environment_id) ?? null));
  }
  return [...changes.values()];
}

/** Which revision the file gives each node, when it gives one. */
async function revisionsOf(db: Db, environmentId: string): Promise<Map<string, string | null>> {
  const rows = await db
    .selectFrom('environments')
    .select(['id', 'revision'])
    .where('parent_id', '=', environmentId)
    .execute();
  return new Map(rows.map(({ id, revision }) => [id, revision]));
}
