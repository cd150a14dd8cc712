import { ApplicationFailure, CompleteAsyncError, Context } from '@temporalio/activity';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Masker } from '../access/index.ts';
import { openLog } from '../artifacts/index.ts';
import type { LogWriter } from '../artifacts/index.ts';
import type { NodeOutcome, NodeSnapshot, RunNodeInput, Stage, VariableLevel } from '../model/index.ts';
import { isReadOnly, kindOf, WindlassError } from '../model/index.ts';
import { forgetOutput, LeftRunningError, ToolError } from '../runners/index.ts';
import type { PlanResult, StackRun, StopReason } from '../runners/index.ts';
import { announceProgress, endNode, enterStage, isDatabaseUnavailable } from '../store/index.ts';
import type { Journal, NodeBegin, NodeKey } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { endCall } from './node-call.ts';
import type { CrashNotes, NodeCall } from './node-call.ts';
import { forHistory, historyMessage } from './history.ts';
import { beginBorneOut, nodeKeyOf } from './node-begin.ts';
import { fail, succeed, unchangedHash } from './node-ending.ts';
import { resolveNodeValues, takesDown } from './node-inputs.ts';
import { approvalReason, requestApproval, takeApprovedPlan } from './node-approval.ts';
import { openFlow } from './node-hooks.ts';
import { performers } from './kinds/index.ts';
import { toolEnvironment } from './node-environment.ts';
import { paceKey, paceLeftMs } from './pacing.ts';
import { recoverNode } from './node-recovery.ts';
import { findCredentials } from './read-definition.ts';
import { watchedSources } from './slow-work.ts';
import { watchPreparation } from './preparation.ts';
import type { Preparation } from './preparation.ts';
import { recordDrift } from './node-drift.ts';
import type { Caller } from './refusals.ts';
import { applyPlan, keepReadablePlan, maskedPlan } from './node-plan.ts';

/** How often Temporal hears that this worker lives; it gives up after 12 s. */
const heartbeatEveryMs = 2000;
const defaultTimeoutSeconds = 24 * 3600;
/** Calls that may break off for a reason that nobody foresaw. */
const unforeseenTries = 3;
/** How often the progress of a tool is written down; nodes that are done sooner write none. */
const progressEveryMs = 1000;

/** See RunActivities.runNode. */
export async function runNode(deps: ActivityDeps, input: RunNodeInput, caller: Caller): Promise<NodeOutcome> {
  const stop = new AbortController();
  const context = Context.current();
  const beating = setInterval(() => context.heartbeat(), heartbeatEveryMs);
  context.cancellationSignal.addEventListener('abort', () => stop.abort(stopReason(context)));
  const preparation = watchPreparation(deps, input.deploymentId, (reason) => stop.abort(reason));
  try {
    const begun = await beginBorneOut(deps, input, caller);
    if (begun.status === 'over') return begun.outcome;
    return await execute(deps, input, begun.begin, { signal: stop.signal, preparation });
  } catch (error) {
    if (isTransient(error) || stop.signal.reason === 'shutdown') throw forHistory(error, 'runNode', deps.log);
    if (error instanceof ApplicationFailure && error.type === 'refused') throw error;
    deps.log.error({ err: error, deployment: input.deploymentId, node: input.alias }, 'a call for a node broke off');
    if (context.info.attempt < unforeseenTries) throw forHistory(error, 'runNode', deps.log);
    // Temporal would call again for ever. The workflow asks once more to settle, and then takes the node as failed.
    throw ApplicationFailure.nonRetryable('Windlass itself failed; the log of the worker says why', 'internal');
  } finally {
    preparation.over();
    clearInterval(beating);
  }
}

function stopReason(context: Context): StopReason {
  const why = context.cancellationDetails;
  // The workflow has let go of this call, or this worker leaves: another call will take over, so the tool may go on.
  if (why?.workerShutdown === true || why?.timedOut === true || why?.reset === true || why?.paused === true)
    return 'shutdown';
  return 'abort';
}

interface CallControl {
  readonly signal: AbortSignal;
  readonly preparation: Preparation;
}

async function execute(
  deps: ActivityDeps,
  input: RunNodeInput,
  begin: NodeBegin,
  control: CallControl,
): Promise<NodeOutcome> {
  const { signal, preparation } = control;
  const key = nodeKeyOf(input);
  // A tool that was in the middle of a change may still be at it.
  if (begin.journal?.open === true && begin.journal.changes) preparation.over();
  if (input.mode === 'settle' && begin.journal?.open !== true) {
    const message = 'stopped before the tool began';
    await endNode(deps.db.sql, key, { status: 'aborted', error: { class: 'cancelled', message } });
    return { status: 'aborted', message, changedState: begin.began_change };
  }

  const perform = begin.snapshot === null ? undefined : performers[kindOf(begin.snapshot.type)];
  if (perform !== undefined && begin.snapshot !== null)
    return perform({ deps, input, key, begin, snapshot: begin.snapshot });

  const masker = new Masker();
  const log = openLog({
    db: deps.db,
    masker,
    deploymentId: key.deploymentId,
    index: key.index,
    compensation: key.compensation,
    try: input.try,
  });
  const failing = { deps, input, key, begin, masker, log, signal };
  let call: NodeCall | undefined;
  try {
    const opened = await openCall(deps, input, key, begin, { masker, log, ...control });
    if (opened.status === 'over') return opened.outcome;
    call = opened.call;
    const outcome = await performStack(call);
    await tidyUp(call);
    return outcome;
  } catch (caught) {
    const error = preparation.active && signal.aborted ? stoppedEarly(caught, signal) : caught;
    if (isTransient(error)) throw error;
    const outcome = await fail(call ?? failing, error);
    if (call) await tidyUp(call);
    return outcome;
  } finally {
    await log.close();
  }
}

type Opened =
  { readonly status: 'ready'; readonly call: NodeCall } | { readonly status: 'over'; readonly outcome: NodeOutcome };

async function openCall(
  deps: ActivityDeps,
  input: RunNodeInput,
  key: NodeKey,
  begin: NodeBegin,
  { preparation, ...io }: CallControl & { readonly masker: Masker; readonly log: LogWriter },
): Promise<Opened> {
  const { snapshot } = begin;
  if (snapshot === null)
    throw new WindlassError('internal', `"${begin.alias}" has no snapshot to run`, { class: 'internal' });
  const refused = await refuseUnverified(deps, input, key, begin);
  if (refused !== null) return { status: 'over', outcome: refused };
  const runner = deps.runners.get(snapshot.type);
  const values = await resolveNodeValues(deps, begin, snapshot);
  for (const variable of values.variables) if (variable.sensitive) io.masker.addValue(variable.value);

  const hash = unchangedHash(snapshot, values);
  if (input.action === 'deploy' && (await isUnchanged(deps, begin, snapshot, hash))) {
    await endNode(deps.db.sql, key, { status: 'succeeded', ran: false, changedOutputs: false });
    return { status: 'over', outcome: { status: 'succeeded', changedOutputs: false, ran: false } };
  }

  const pace = paceKey(begin.project_id, snapshot, values);
  // What a crash has left open is looked at first, and an approved plan does not wait until it is out of date.
  const waitMs = begin.journal?.open === true || input.mode === 'apply' ? 0 : await paceLeftMs(deps.db, pace);
  if (waitMs > 0) {
    const message = 'waits, because its account has asked for slower calls';
    await endNode(deps.db.sql, key, { status: 'retrying', error: { class: 'quota', message } });
    return { status: 'over', outcome: { status: 'retry', afterMs: waitMs, message, uncounted: true } };
  }

  const grant = await deps.state.grant({
    environmentId: begin.environment_id,
    ...key,
    readOnly: input.action === 'drift',
  });
  io.masker.add(grant.token);
  const workDirectory = chooseWorkDirectory(
    deps,
    begin,
    isReadOnly(input.action) ? `${begin.environment_id}.${key.deploymentId}` : begin.environment_id,
  );
  const crash: CrashNotes = { cutOff: null };
  const journal = (stage: Stage, changes: boolean): Journal => ({
    open: true,
    stage,
    changes,
    workerId: deps.worker.id,
    host: deps.worker.host,
    bootId: deps.worker.bootId,
    workDirectory,
    grantId: grant.id,
    ...(crash.cutOff === null || changes ? {} : { cutOff: crash.cutOff }),
  });
  const credentials = findCredentials(
    snapshot.source,
    values.variables.filter((variable) => variable.kind === 'environment'),
  );
  let stage: Stage = 'prepare';
  let progressKeptMs = Date.now();
  const progress = (text: string): void => {
    const keep = Date.now() - progressKeptMs >= progressEveryMs;
    if (keep) progressKeptMs = Date.now();
    const node = { alias: begin.alias, entityId: begin.entity_id };
    void announceProgress(deps.db.sql, key, node, { text, keep }).catch(() => undefined);
  };
  const sources = watchedSources(deps.sources, { signal: io.signal, say: progress });
  const source = await sources.checkout(snapshot.source, snapshot.commit, { credentials });
  const run: StackRun = {
    id: `${key.deploymentId}/${key.index}`,
    environmentId: begin.environment_id,
    type: snapshot.type,
    onlyReads: isReadOnly(input.action),
    sourceDirectory: source,
    path: snapshot.source.path,
    workDirectory,
    workspace: snapshot.workspace,
    config: snapshot.config,
    variables: values.variables
      .filter((variable) => variable.kind === 'tool')
      .map((variable) => ({ ...variable, own: ownLevels.has(variable.level) })),
    environment: toolEnvironment({ begin, key, snapshot, input, workDirectory }, values.variables),
    state: { address: `${deps.stateUrl}/${begin.environment_id}`, username: grant.id, password: grant.token },
    timeoutMs: (snapshot.timeoutSeconds ?? input.timeoutSeconds ?? defaultTimeoutSeconds) * 1000,
    log: (text) => io.log.write(stage, text),
    enter: async (next, evidence) => {
      stage = next;
      if (evidence?.changes === true || next === 'hooks') preparation.over();
      const evidenceOf = (next === 'recover' ? begin.journal : null) ?? journal(next, evidence?.changes ?? false);
      await enterStage(deps.db.sql, key, next, evidenceOf);
    },
    progress,
    signal: input.mode === 'settle' ? AbortSignal.abort('abort' satisfies StopReason) : io.signal,
  };
  const flow = await openFlow(source, snapshot, { run, action: input.action, masker: io.masker });
  return {
    status: 'ready',
    call: {
      deps,
      input,
      key,
      begin,
      snapshot,
      values,
      runner: flow?.wrap(runner) ?? runner,
      flow,
      paceKey: pace,
      run,
      grantId: grant.id,
      crash,
      ...io,
    },
  };
}

/**
 * What a killed tool made last may be in no state, so a deploy may make it a second time: a person looks first. A destroy
 * makes nothing, and a plan that was approved meanwhile was looked at.
 */
async function refuseUnverified(
  deps: ActivityDeps,
  input: RunNodeInput,
  key: NodeKey,
  begin: NodeBegin,
): Promise<NodeOutcome | null> {
  const mark = begin.state_unverified;
  if (mark === null || input.action !== 'deploy' || input.mode !== 'run' || begin.journal?.open === true) return null;
  const name = begin.parent_id === null ? begin.entity_name : `${begin.entity_name}/${begin.alias}`;
  await endNode(deps.db.sql, key, {
    status: 'failed',
    error: {
      class: 'tool',
      message: `the state of "${begin.alias}" is unverified, so it may be made a second time: ${mark.reason}`,
      hint: `look at what really exists, then: windlass state verify "${name}" --reason "…" and windlass resume "${begin.entity_name}"`,
    },
  });
  return { status: 'failed', class: 'tool', message: historyMessage('tool'), changedState: false };
}

/** Levels at which a value is meant for one stack or run. */
const ownLevels: ReadonlySet<VariableLevel> = new Set(['node', 'file', 'deployment']);

/** What the tools have printed is removed; of a read the whole directory, since nobody comes back to it. */
async function tidyUp({ input, run }: NodeCall): Promise<void> {
  if (isReadOnly(input.action)) await rm(run.workDirectory, { recursive: true, force: true });
  else await forgetOutput(run.workDirectory);
}

/**
 * Where the tool works on this machine. What another worker of this machine has left unfinished is taken over where it
 * lies. Each read has a directory of its own: it must not disturb the one that applies use, nor a read beside it.
 */
function chooseWorkDirectory(deps: ActivityDeps, begin: NodeBegin, name: string): string {
  const { journal } = begin;
  const left =
    journal !== null && journal.open && journal.host === deps.worker.host && journal.bootId === deps.worker.bootId;
  return left && existsSync(journal.workDirectory) ? journal.workDirectory : join(deps.workDirectory, name);
}

async function performStack(call: NodeCall): Promise<NodeOutcome> {
  const { input, begin, run, runner } = call;
  const recovered = await recoverNode(call);
  if (recovered.kind === 'over') return recovered.outcome;
  if (recovered.kind === 'finished') return succeed(call, recovered.result);
  if (input.mode === 'settle') {
    const message = 'the run was stopped, and the tool of this node is over';
    throw new ToolError({ class: 'cancelled', message }, recovered.kind === 'interrupted');
  }
  if (input.mode === 'apply' && recovered.kind === 'clean') return applyApproved(call);
  await runner.prepare(run);
  switch (input.action) {
    case 'plan':
      return planOnly(call);
    case 'drift':
      return recordDrift(call, await runner.detectDrift(run));
    case 'deploy':
    case 'destroy': {
      const mayWait = call.snapshot.requiresApproval === true && input.compensation !== true;
      if (!mayWait && call.flow?.plansFirst !== true) {
        return succeed(call, input.action === 'deploy' ? await runner.deploy(run) : await runner.destroy(run));
      }
      const planned = await planFor(call);
      const asked = approvalReason(call);
      const because =
        asked !== null && input.mode === 'apply'
          ? 'the apply of the approved plan was cut off, so it was planned again'
          : asked;
      const idle = input.action === 'deploy' && !planned.plan.hasChanges;
      return because === null || idle
        ? succeed(call, await applyPlan(call, planned))
        : requestApproval(call, planned, because);
    }
    case 'keep':
      throw new WindlassError('internal', `"${begin.alias}" is kept and must not run`);
  }
}

/** Applies the very plan that was approved; one that the state has moved past is made anew and asked about again. */
async function applyApproved(call: NodeCall): Promise<NodeOutcome> {
  const { input, run, runner } = call;
  const approved = await takeApprovedPlan(call);
  await runner.prepare(run);
  try {
    return await succeed(call, await applyPlan(call, approved));
  } catch (error) {
    if (!(error instanceof ToolError) || error.class !== 'stalePlan') throw error;
    const planned = await planFor(call);
    if (input.action === 'deploy' && !planned.plan.hasChanges) return succeed(call, await applyPlan(call, planned));
    return requestApproval(call, planned, 'the state changed after the plan was approved, so it was planned again');
  }
}

function planFor(call: NodeCall): Promise<PlanResult> {
  return call.input.action === 'destroy' ? call.runner.planDestroy(call.run) : call.runner.plan(call.run);
}

async function planOnly(call: NodeCall): Promise<NodeOutcome> {
  const { values, run } = call;
  if (values.unknown.length > 0) {
    run.log(`cannot be known before a deploy:\n${values.unknown.map((line) => `  ${line}\n`).join('')}`);
    await endCall(call, {
      status: 'skipped',
      reason: { kind: 'notSelected', message: `cannot be known yet: ${values.unknown.join('; ')}` },
    });
    return { status: 'succeeded', changedOutputs: false, ran: false };
  }
  const result = takesDown(call.begin) ? await call.runner.planDestroy(run) : await call.runner.plan(run);
  await keepReadablePlan(call, result);
  await endCall(call, { status: 'succeeded', plan: maskedPlan(call.masker, result.plan) });
  return { status: 'succeeded', changedOutputs: false, ran: true };
}

async function isUnchanged(
  deps: ActivityDeps,
  begin: NodeBegin,
  snapshot: NodeSnapshot,
  hash: string,
): Promise<boolean> {
  if (begin.request.force || begin.environment_status !== 'active' || begin.journal?.open === true) return false;
  if (snapshot.redeploy === 'always') return false;
  if (snapshot.redeploy === 'never') return true;
  const state = await deps.state.latest(begin.environment_id);
  return begin.input_hash === `${hash}:${state?.serial ?? '-'}`;
}

/** What a stop has cut short before a tool could say so itself. */
function stoppedEarly(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof ToolError || isTransient(error)) return error;
  if (signal.reason === 'shutdown') return new LeftRunningError('');
  return new ToolError(
    { class: 'cancelled', message: 'stopped while it was being prepared; nothing was changed' },
    false,
  );
}

/** Passes by itself, so Temporal calls again: the database is away, or another worker takes the tool over. */
function isTransient(error: unknown): boolean {
  return error instanceof LeftRunningError || error instanceof CompleteAsyncError || isDatabaseUnavailable(error);
}
