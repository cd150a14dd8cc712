import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { WindlassError } from '../../model/index.ts';
import { readRecord } from '../../process/index.ts';
import type { StopLadder } from '../../process/index.ts';
import { ToolError } from '../runner.ts';
import type { CrashEvidence, Recovery, StackRun } from '../runner.ts';
import { recoverCall, runDirectory } from '../calls.ts';
import { follow, toToolError, wasKilled } from './invoke.ts';
import type { Invocation } from './invoke.ts';
import { freeAfterKill, hasLeftState, probeLock, rescueState } from './rescue.ts';
import { planPath, toApplyResult } from './results.ts';
import { variablesName } from './session.ts';
import type { Session } from './session.ts';

const readers = ['init', 'plan', 'show-text', 'show-json', 'outputs', 'recover'];

/** Stages after a change that are part of it as long as their call has not ended. */
function runName(stage: CrashEvidence['stage']): 'apply' | 'destroy' {
  return stage === 'destroy' ? 'destroy' : 'apply';
}

export interface RecoveryContext {
  readonly ladder: StopLadder;
  readonly open: () => Promise<Session>;
  /** For a call that had its work directory elsewhere: lays out one here, and `prepareAndInit` calls `init` as well. */
  readonly prepareDirectory: () => Promise<Session>;
  readonly prepareAndInit: () => Promise<Session>;
}

/**
 * Finds out what a call that ended unseen has done. `open` reads the work directory, which may not be there.
 * Throws a ToolError when the tool is found to have failed, and LeftRunningError when it is left running again.
 */
export async function recover(run: StackRun, evidence: CrashEvidence, context: RecoveryContext): Promise<Recovery> {
  const name = runName(evidence.stage);
  return recoverCall(run, evidence, {
    readers,
    describeReader: (reader) => `A process of an earlier call (${reader})`,
    changer: name,
    what: 'The tool',
    conclude: async () => conclude(await context.open(), await follow(run, context.ladder, name)),
    killed: async (startedAtMs) => killed(await context.open(), startedAtMs),
    onOtherHost: () => onOtherHost(evidence, context),
  });
}

async function conclude(session: Session, invocation: Invocation): Promise<Recovery> {
  await rm(join(session.directory, variablesName), { force: true });
  await rm(planPath(session), { recursive: true, force: true });
  if (invocation.code === 0) return { kind: 'finished', result: await toApplyResult(session, invocation.report) };
  if (wasKilled(invocation) && invocation.failure.stopped === null) {
    return killed(session, readRecord(runDirectory(session.run, invocation.failure.stage))?.startedAtMs ?? 0);
  }
  if (hasLeftState(session.directory) && !session.run.signal.aborted) await rescueState(session);
  throw toToolError(session, invocation, true);
}

/** The tool is proven over and nobody wrote down how. */
async function killed(session: Session, startedAtMs: number): Promise<Recovery> {
  await rm(join(session.directory, variablesName), { force: true });
  await rm(planPath(session), { recursive: true, force: true });
  const detail = 'the tool was killed on this machine before it could end';
  if (session.managed) {
    // The lock belongs to the dead call's grant, which the caller takes away; `prepare` then saves what was left behind.
    const left = hasLeftState(session.directory) ? '; it left a state behind, which is saved before going on' : '';
    return { kind: 'interrupted', detail: `${detail}${left}`, lockId: null };
  }
  const { lockId, ...freed } = await freeAfterKill(session, startedAtMs);
  if (freed.kind !== 'free') return { kind: 'unknown', detail: `${detail}, and ${freed.reason}`, lockId };
  const rescue = await rescueState(session);
  if (rescue.kind === 'kept') {
    return { kind: 'unknown', detail: `${detail}, and the state it left could not be saved: ${rescue.reason}`, lockId };
  }
  return { kind: 'interrupted', detail, lockId };
}

/** The call ran where this process cannot look. */
async function onOtherHost(
  evidence: CrashEvidence,
  context: Pick<RecoveryContext, 'prepareDirectory' | 'prepareAndInit'>,
): Promise<Recovery> {
  const detail = 'the tool ran on another machine';
  const unknown = (because: string): Recovery => ({ kind: 'unknown', detail: `${detail}${because}`, lockId: null });
  if (!evidence.workerDead) return unknown(', whose worker may still live');
  try {
    const session = await context.prepareDirectory();
    // Without its grant the old call cannot write the managed state any more, wherever it is.
    if (session.managed) return { kind: 'interrupted', detail: `${detail}, whose worker is dead`, lockId: null };
    const { backend } = session.facts;
    if (backend === null || backend === 'local') return unknown(', where its state lies in a file');
    return await probeStateOfOtherHost(await context.prepareAndInit(), detail);
  } catch (error) {
    if (!(error instanceof ToolError || error instanceof WindlassError)) throw error;
    return unknown(`, and its state cannot be looked at from here: ${error.message}`);
  }
}

async function probeStateOfOtherHost(session: Session, detail: string): Promise<Recovery> {
  const probe = await probeLock(session);
  switch (probe.kind) {
    case 'free':
      return { kind: 'interrupted', detail: `${detail}, whose worker is dead, and the state is free`, lockId: null };
    case 'held':
      return {
        kind: 'unknown',
        detail: `${detail} and may go on without its worker: the state is locked by ${probe.lock?.who ?? 'somebody'}`,
        lockId: probe.lock?.id ?? null,
      };
    case 'unknown':
      return { kind: 'unknown', detail: `${detail}, and its state cannot be reached: ${probe.message}`, lockId: null };
  }
}
