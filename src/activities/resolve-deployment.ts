import { ApplicationFailure } from '@temporalio/activity';
import type { ResolvedRun, RunNode } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import type { ActivityDeps } from './deps.ts';
import { templateOfNode } from './read-definition.ts';
import type { Resolution } from './resolution.ts';
import { resolveFromFile } from './resolve-from-file.ts';
import {
  resolveDestroy,
  resolveDrift,
  resolveRestore,
  resolveResume,
  resolveRollback,
  resolveSingleDestroy,
} from './resolve-from-records.ts';
import {
  insertNodes,
  loadEngineNodes,
  loadKnown,
  loadRun,
  otherOpenRun,
  setEnvironmentStatus,
  setRunStatus,
} from './run-store.ts';
import type { RunDefinition, RunRow } from './run-store.ts';

/** See DeploymentActivities.resolveDeployment. */
export async function resolveDeployment(deps: ActivityDeps, deploymentId: string): Promise<ResolvedRun> {
  const run = await loadRun(deps.db.sql, deploymentId);
  if (run === null)
    throw ApplicationFailure.nonRetryable(`deployment ${deploymentId} is not in the database`, 'notFound');
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
    // The record says what it is; what a file or a repository holds has no place in a history.
    throw ApplicationFailure.nonRetryable(
      `the run could not be prepared (${error.code}); its record says why`,
      error.code,
    );
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
    // It was dropped while its submission was on the way, so nothing of it may run.
    if (!(await setRunStatus(tx, run.id, { status: 'running' })))
      throw ApplicationFailure.nonRetryable(`deployment ${run.id} was ended before it began`, 'ended');
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
      if (run.request.partial?.operation === 'single-node-destroy') return resolveSingleDestroy(run, known);
      if (run.request.restoreNodes !== undefined) return resolveRestore(run, known, run.request.restoreNodes);
      return resolveFromFile(deps, run, template, known);
  }
}
