import { ApplicationFailure, Context } from '@temporalio/activity';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Problem, ResolvedRun, ResolveInput, RunError, RunNode } from '../model/index.ts';
import { isReadOnly, messageOf, untilAborted, WindlassError } from '../model/index.ts';
import type { Db, RunDefinition, RunRow } from '../store/index.ts';
import {
  insertNodes,
  isDatabaseUnavailable,
  loadEngineNodes,
  loadGroups,
  loadKnown,
  loadNodeMarks,
  loadRun,
  lockEnvironmentRow,
  openRunsOf,
  recordRunError,
  recordRunProgress,
  saveRunDefinition,
  setEnvironmentStatus,
  setRunStatus,
} from '../store/index.ts';
import type { ActivityDeps, ResolveDeps } from './deps.ts';
import { stateProblem } from './carried-state.ts';
import { templateOfEnvironment } from './node-templates.ts';
import { refuseCall } from './refusals.ts';
import type { Caller } from '../node/index.ts';
import { afterFailedTry } from './resolve-tries.ts';
import { elapsed, watchedSources } from '../sources/index.ts';
import { refuse } from './resolution.ts';
import { routeNodes } from './routing.ts';
import type { Resolution, ResolvingRun } from './resolution.ts';
import { resolveFromFile } from './resolve-from-file.ts';
import {
  resolveDestroy,
  resolveDrift,
  resolveRestore,
  resolveRollback,
  resolveSingleDestroy,
} from './resolve-from-records.ts';
import { resolveResume } from './resolve-resume.ts';

/** Reading files takes minutes at most; what takes longer hangs, such as a network file system that is away. */
const longestTryMs = 20 * 60_000;

/**
 * See DeploymentActivities.resolveDeployment. Tries again within one call what may pass, and ends the run with an error
 * for everything else: only the database, and the run whose turn it is, are waited for without an end.
 */
export async function resolveDeployment(deps: ActivityDeps, input: ResolveInput, caller: Caller): Promise<ResolvedRun> {
  const { deploymentId } = input;
  const context = Context.current();
  const stopped = context.cancellationSignal;
  const say = progressOf(deps, deploymentId);
  let firstFailureMs = 0;
  for (let count = 1; ; count++) {
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(longestTryMs)]);
    try {
      const watched = { ...deps, sources: watchedSources(deps.sources, { signal, say }) };
      return await untilAborted(resolveOnce(watched, input, caller), signal);
    } catch (caught) {
      // A worker that leaves lets another one go on; all else that ends the call was asked for.
      if (stopped.aborted)
        throw context.cancellationDetails?.workerShutdown ? new Error('this worker stops') : stopped.reason;
      const thrown = signal.aborted ? tookTooLong() : caught;
      firstFailureMs ||= Date.now();
      const failingMs = Date.now() - firstFailureMs;
      const next = afterFailedTry(thrown, { count, failingMs, patienceMs: deps.sourcePatienceMs });
      if (next.kind === 'leaveToTemporal') throw thrown;
      if (!(thrown instanceof WindlassError))
        deps.log.error({ err: thrown, deployment: deploymentId, try: count }, 'a run could not be resolved');
      if (next.kind === 'over') {
        await recordError(deps, deploymentId, next.error);
        // The record says what it is; what a file or a repository holds has no place in a history.
        throw ApplicationFailure.nonRetryable(
          `the run could not be prepared (${next.code}); its record says why`,
          next.code,
        );
      }
      say(`${messageOf(thrown)}; trying again in ${elapsed(next.afterMs)}, since ${elapsed(failingMs)}`);
      await sleep(next.afterMs, undefined, { signal: stopped }).catch(() => undefined);
    }
  }
}

function tookTooLong(): WindlassError {
  return new WindlassError('sourceUnavailable', `reading the source took more than ${elapsed(longestTryMs)}`, {
    class: 'definition',
    hint: 'look at the place the source lies in: a network file system that does not answer, say',
  });
}

async function recordError(deps: ActivityDeps, deploymentId: string, error: RunError): Promise<void> {
  try {
    await recordRunError(deps.db.sql, deploymentId, error);
  } catch (thrown) {
    if (isDatabaseUnavailable(thrown)) throw thrown;
    deps.log.error({ err: thrown, deployment: deploymentId }, 'why a run could not be resolved was not written down');
  }
}

/** Says what takes long, in the record of the run. What cannot be said is not worth an error. */
function progressOf(deps: ActivityDeps, deploymentId: string): (text: string) => void {
  return (text) => void recordRunProgress(deps.db.sql, deploymentId, text).catch(() => undefined);
}

async function resolveOnce(deps: ActivityDeps, input: ResolveInput, caller: Caller): Promise<ResolvedRun> {
  const run = await requireMatchingRun(deps, input, caller);
  if (run.definition !== null) return answer(run, run.definition, await loadEngineNodes(deps.db.sql, run.id));
  await begin(deps, run);
  const resolution = await resolve(deps, run);
  refuseUnconfirmed(run, resolution);
  await deps.db.transaction(async (tx) => {
    // It was stopped meanwhile: nothing of it may be left open.
    if (!(await saveRunDefinition(tx, run.id, resolution))) throw ended(run.id);
    await insertNodes(tx, run.id, resolution.nodes);
  });
  return answer(
    run,
    resolution.definition,
    resolution.nodes.map((node) => node.run),
  );
}

function ended(deploymentId: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(`deployment ${deploymentId} was ended before it began`, 'ended');
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

/** The run as it is on record, if that is what the workflow was started for. */
async function requireMatchingRun(deps: ActivityDeps, input: ResolveInput, caller: Caller): Promise<RunRow> {
  const run = await loadRun(deps.db.sql, input.deploymentId);
  const problem = run === null ? 'there is no such run' : await claimProblem(deps, run, input);
  if (run !== null && problem === null) {
    if (!run.over) return run;
    // It was dropped while its submission was on the way, so nothing of it may run.
    if (!run.begun) throw ended(run.id);
  }
  return refuseCall(deps, caller, {
    what: 'starting a run',
    because: problem ?? 'it is over',
    targetType: 'deployment',
    targetId: input.deploymentId,
    said: input,
  });
}

async function claimProblem(deps: ActivityDeps, run: RunRow, input: ResolveInput): Promise<string | null> {
  if (input.environmentId !== undefined && input.environmentId !== run.environment_id)
    return 'it belongs to another environment';
  if (input.projectId !== undefined && input.projectId !== run.project_id) return 'it belongs to another project';
  if (input.type !== undefined && input.type !== run.type) return `it is a ${run.type}`;
  if (input.state === undefined || run.over) return null;
  return stateProblem(input.state, run, await loadNodeMarks(deps.db.sql, run.id));
}

/**
 * Two runs of one environment never change it at once, even when the workflow that keeps the queue was ended by hand or told
 * something else. The row of the environment is locked meanwhile, so that two cannot both find it free.
 */
async function begin(deps: ActivityDeps, run: RunRow): Promise<void> {
  const other = await deps.db.transaction(async (tx) => {
    const inTheWay = await otherRun(tx, run);
    if (inTheWay !== null) return inTheWay;
    // It was dropped while its submission was on the way, so nothing of it may run.
    if (!(await setRunStatus(tx, run.id, { status: 'running' }))) throw ended(run.id);
    const status =
      run.type === 'destroy'
        ? 'destroyInProgress'
        : run.type === 'deploy' || run.type === 'rollback'
          ? 'deployInProgress'
          : null;
    if (status !== null) await setEnvironmentStatus(tx, run.environment_id, status, run.id);
    return null;
  });
  if (other === null) return;
  await recordRunProgress(
    deps.db.sql,
    run.id,
    `waits for the end of deployment ${other}, which changes the same environment`,
  );
  throw ApplicationFailure.create({
    message: `deployment ${other} of this environment is still running`,
    type: 'notYet',
    nextRetryDelay: '3 seconds',
    category: 'BENIGN',
  });
}

async function otherRun(tx: Db, run: RunRow): Promise<string | null> {
  if (isReadOnly(run.type)) return null;
  await lockEnvironmentRow(tx, run.environment_id);
  const [other] = await openRunsOf(tx, run.environment_id, { types: 'changing', begun: true, besides: run.id });
  return other?.id ?? null;
}

/** What has changed since somebody said what may be destroyed is not covered by it. */
function refuseUnconfirmed(run: RunRow, { nodes }: Resolution): void {
  const { mayDestroy } = run.request;
  if (mayDestroy === undefined || run.type === 'plan' || run.type === 'destroy') return;
  const problems = nodes.flatMap(({ name, run: node }): Problem[] =>
    node.removal !== 'destroy' || mayDestroy.includes(node.alias)
      ? []
      : [{ message: `"${name}" would be destroyed, which was not asked about when this run was requested` }],
  );
  refuse(problems, 'nothing was run', `look at it: windlass plan ${run.environment_name}; then ask for the run again`);
}

/** Works out what a run does, without recording it. `dry` leaves the sub-environments as they are, too. */
export async function resolve(
  deps: ResolveDeps,
  run: RunRow,
  options: ResolveOptions = { dry: false, pending: false },
): Promise<Resolution> {
  const resolving = { ...run, groups: await loadGroups(deps.db.sql, run.environment_id) };
  const resolution = await resolveByType(deps, resolving, options);
  return { ...resolution, nodes: await routeNodes(deps, resolving, resolution.nodes) };
}

interface ResolveOptions {
  readonly dry: boolean;
  /** Other runs come first, so that what is there today decides nothing yet. */
  readonly pending: boolean;
}

async function resolveByType(deps: ResolveDeps, run: ResolvingRun, options: ResolveOptions): Promise<Resolution> {
  const template = await templateOfEnvironment(deps, run);
  const workflow = template.type === 'workflow';
  const known = await loadKnown(deps.db.sql, run.environment_id, workflow);
  const { resume } = run.request;
  if (resume && !resume.refresh) return resolveResume(deps, run, known, resume.deployment);
  switch (run.type) {
    case 'destroy':
      return resolveDestroy(run, known);
    case 'drift':
      return resolveDrift(run, known);
    case 'rollback':
      return resolveRollback(deps, run, known);
    case 'deploy':
    case 'plan':
      if (run.request.partial?.operation === 'single-node-destroy')
        return resolveSingleDestroy(run, known, options.pending);
      if (run.request.rollbackTo !== undefined) return resolveRollback(deps, run, known);
      if (run.request.restoreNodes !== undefined) return resolveRestore(run, known, run.request.restoreNodes);
      return resolveFromFile(deps, run, template, known, options);
  }
}
