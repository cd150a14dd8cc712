import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ResourceChange, Stage } from '../../model/index.ts';
import type { RunnerOptions } from '../options.ts';
import { defaultLadder, LeftRunningError, readRecord } from '../../process/index.ts';
import { ToolError } from '../runner.ts';
import type { ApplyResult, Drift, HeldLock, PlanResult, StackRun, StackRunner } from '../runner.ts';
import { buildWorkTree } from '../work-tree.ts';
import { needsInit } from './messages.ts';
import { ensureInit, placeBackendFile, removeFormerFiles } from './init.ts';
import { invoke, toToolError, wasKilled } from './invoke.ts';
import { runDirectory } from '../calls.ts';
import { releaseOwnLock } from './managed-state.ts';
import type { Invocation, InvokeOptions } from './invoke.ts';
import { recover } from './recover.ts';
import { freeAfterKill, hasLeftState, rescueState } from './rescue.ts';
import { planPath, readPlan, toApplyResult } from './results.ts';
import { openSession, variablesName, withoutAbort } from './session.ts';
import type { Session } from './session.ts';
import { describeUndeclared, variablesFile } from './values.ts';

const common = ['-input=false', '-json'];

/** Runs OpenTofu and Terraform stacks with the real programs. */
export function createOpenTofuRunner(options: RunnerOptions): StackRunner {
  // Reading a stack twice within one run is saved; what is lost with this map is read again.
  const sessions = new WeakMap<StackRun, Session>();

  async function open(run: StackRun): Promise<Session> {
    const session = sessions.get(run) ?? (await openSession(run, options));
    sessions.set(run, session);
    return session;
  }

  async function reopen(run: StackRun): Promise<Session> {
    sessions.delete(run);
    return open(run);
  }

  async function prepareDirectory(run: StackRun): Promise<Session> {
    await removeFormerFiles(await buildWorkTree(run));
    return reopen(run);
  }

  async function prepareAndInit(run: StackRun): Promise<Session> {
    const session = await prepareDirectory(run);
    await placeBackendFile(session);
    const undeclared = describeUndeclared(run.variables, session.facts.variables);
    if (undeclared !== null) run.log(undeclared);
    await ensureInit(session, () => reopen(run));
    return open(run);
  }

  /** Calls the tool with the variables in place, and once more after `init` when it asks for that. */
  async function call(session: Session, what: InvokeOptions, again = false): Promise<Invocation> {
    const file = join(session.directory, variablesName);
    const text = variablesFile(session.run.variables, session.facts.variables);
    await rm(file, { force: true });
    if (text !== null) {
      await writeFile(file, text, { mode: 0o600, flag: 'wx' });
      await chmod(file, 0o600);
    }
    let invocation = await invoke(session, what);
    // Left where it is when the tool goes on without us: LeftRunningError passes this line.
    await rm(file, { force: true });
    if (wasKilled(invocation)) {
      const held = await settle(session, what.name ?? what.stage);
      if (held !== null) invocation = { ...invocation, held };
    }
    if (invocation.code === 0 || again || invocation.report.applyStarted || !needsInit(invocation.failure))
      return invocation;
    session.run.log('It asks for init, which is run now.\n');
    await ensureInit(session, () => reopen(session.run), true);
    return call(await reopen(session.run), what, true);
  }

  /** After a kill: nobody else frees what the tool held. Answers what may still be held. */
  async function settle(session: Session, name: string): Promise<HeldLock | null> {
    const { run, managed } = session;
    const startedAtMs = readRecord(runDirectory(run, name))?.startedAtMs;
    if (startedAtMs === undefined) return null;
    if (managed && run.state !== null) {
      const lockId = await releaseOwnLock(run.state);
      if (lockId !== null) run.log(`Freed the lock ${lockId} of the killed tool.\n`);
      return null;
    }
    if (session.facts.backend === null) return null;
    const freed = await freeAfterKill(withoutAbort(session), startedAtMs);
    return freed.kind === 'free' ? null : { reason: freed.reason, lockId: freed.lockId };
  }

  async function change(run: StackRun, stage: Stage, args: readonly string[]): Promise<ApplyResult> {
    const session = await open(run);
    const invocation = await call(session, { stage, args, changes: true });
    if (invocation.code === 0) return toApplyResult(session, invocation.report);
    if (hasLeftState(session.directory)) await rescueState(withoutAbort(session));
    throw toToolError(session, invocation, true);
  }

  async function makePlan(run: StackRun, flags: readonly string[]) {
    const session = await open(run);
    const unlocked = run.onlyReads === true ? ['-lock=false'] : [];
    const path = planPath(session);
    await rm(path, { recursive: true, force: true });
    try {
      const invocation = await call(session, {
        stage: 'plan',
        args: ['plan', `-out=${path}`, '-detailed-exitcode', ...unlocked, ...flags, ...common],
      });
      if (invocation.code !== 0 && invocation.code !== 2) throw toToolError(session, invocation, false);
      return await readPlan(session, invocation.code === 2);
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  }

  async function plan(run: StackRun, flags: readonly string[]): Promise<PlanResult> {
    const { plan: made, artifact, text, json } = await makePlan(run, flags);
    return { plan: made, artifact, text, json };
  }

  return {
    async prepare(run) {
      const session = await prepareAndInit(run);
      if (hasLeftState(session.directory)) await requireRescuedState(session);
    },

    plan: (run) => plan(run, []),
    planDestroy: (run) => plan(run, ['-destroy']),

    async apply(run, artifact) {
      const session = await open(run);
      const path = planPath(session);
      await rm(path, { recursive: true, force: true });
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeFile(path, artifact, { mode: 0o600, flag: 'wx' });
      let leftRunning = false;
      try {
        return await change(run, 'apply', ['apply', ...common, path]);
      } catch (error) {
        leftRunning = error instanceof LeftRunningError;
        throw error;
      } finally {
        if (!leftRunning) await rm(path, { recursive: true, force: true });
      }
    },

    deploy: (run) => change(run, 'apply', ['apply', '-auto-approve', ...common]),
    destroy: (run) => change(run, 'destroy', ['apply', '-destroy', '-auto-approve', ...common]),

    async detectDrift(run): Promise<Drift> {
      const made = await makePlan({ ...run, onlyReads: true }, []);
      const resources = driftedResources(made.plan.resources, made.drift);
      const { artifact, text, json } = made;
      return { drifted: made.plan.hasChanges, plan: { plan: { ...made.plan, resources }, artifact, text, json } };
    },

    recover: (run, evidence) =>
      recover(run, evidence, {
        ladder: options.ladder ?? defaultLadder,
        open: () => reopen(run),
        prepareDirectory: () => prepareDirectory(run),
        prepareAndInit: () => prepareAndInit(run),
      }),
  };
}

/**
 * What was changed outside, as it was and as it is; then what else a deploy would change, where what was still is. Each with
 * what a deploy would make of it.
 */
function driftedResources(planned: readonly ResourceChange[], drift: readonly ResourceChange[]): ResourceChange[] {
  if (planned.length === 0) return [];
  const wanted = new Map(planned.map((change) => [change.address, change]));
  const moved = new Set(drift.map(({ address }) => address));
  return [
    ...drift.map((change) => {
      const next = wanted.get(change.address);
      return { ...change, planned: (next === undefined ? change.after : next.after) ?? null };
    }),
    ...planned
      .filter(({ address }) => !moved.has(address))
      .map((change) => ({ ...change, after: change.before ?? null, planned: change.after ?? null })),
  ];
}

/** Nothing may run on a state that lacks what an earlier call has made. */
async function requireRescuedState(session: Session): Promise<void> {
  const rescue = await rescueState(session);
  if (rescue.kind !== 'kept' || !hasLeftState(session.directory)) return;
  throw new ToolError(
    {
      class: 'lock',
      message: `an earlier call left a state that cannot be saved: ${rescue.reason}`,
      hint: `It is kept in ${rescue.file} on this machine. Free the lock or the backend, then resume the run.`,
    },
    false,
  );
}
