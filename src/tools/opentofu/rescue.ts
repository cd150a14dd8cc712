import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeFailure, diagnosticsOf } from '../failures.ts';
import { parseLock } from './messages.ts';
import type { LockHolder } from './messages.ts';
import { invoke } from './invoke.ts';
import type { Invocation } from './invoke.ts';
import type { Session } from './session.ts';

const leftState = 'errored.tfstate';

/** Whether the tool could not save its state and left it beside the code. */
export function hasLeftState(directory: string): boolean {
  return existsSync(join(directory, leftState));
}

function messageOfRun(invocation: Invocation): string {
  const { diagnostics, text } = invocation.failure;
  return [...diagnostics.map(({ summary, detail }) => `${summary}\n${detail}`), text].join('\n');
}

function invokeUnlogged(session: Session, args: readonly string[]): Promise<Invocation> {
  return invoke(session, { stage: 'recover', enter: false, log: false, args });
}

/** Frees a lock whose holder is proven to be over. */
export async function forceUnlock(session: Session, lockId: string): Promise<boolean> {
  const { code } = await invokeUnlogged(session, ['force-unlock', '-force', lockId]);
  session.run.log(
    code === 0 ? `Freed the lock ${lockId} of a process that is over.\n` : `Could not free the lock ${lockId}.\n`,
  );
  return code === 0;
}

export type LockProbe =
  | { readonly kind: 'free' }
  | { readonly kind: 'held'; readonly lock: LockHolder | null }
  | { readonly kind: 'unknown'; readonly message: string };

/**
 * Takes the lock and gives it back, changing nothing. There is no command for that, so an object that does not exist is
 * asked to be tainted, which the tool accepts: it takes the lock first, needs no provider, and writes nothing.
 */
export async function probeLock(session: Session): Promise<LockProbe> {
  const probe = await invokeUnlogged(session, [
    'taint',
    '-allow-missing',
    '-no-color',
    'terraform_data.windlass_lock_probe',
  ]);
  if (probe.code === 0) return { kind: 'free' };
  const message = messageOfRun(probe);
  const error = describeFailure({ ...probe.failure, diagnostics: diagnosticsOf(message) });
  return error.class === 'lock'
    ? { kind: 'held', lock: parseLock(message) }
    : { kind: 'unknown', message: error.message };
}

/**
 * Whether a lock was taken by a tool of this user on this machine while a certain run was going on. The tools write
 * down `user@host` and the time; together with the proof that the run's process is over, that makes the lock ours to free.
 */
export function isOurs(lock: LockHolder, startedAtMs: number, endedAtMs: number): boolean {
  if (lock.who === null || lock.createdAtMs === null) return false;
  let user = '';
  try {
    user = userInfo().username;
  } catch {
    return false;
  }
  return (
    lock.who === `${user}@${hostname()}` && lock.createdAtMs >= startedAtMs - 1000 && lock.createdAtMs <= endedAtMs
  );
}

/** Backends whose lock belongs to the process or connection that took it, and is gone with that. */
const endsWithHolder: ReadonlySet<string> = new Set(['local', 'pg']);

export type Freed =
  | { readonly kind: 'free'; readonly lockId: string | null }
  | { readonly kind: 'held' | 'unreachable'; readonly lockId: string | null; readonly reason: string };

/** Sees to it that a killed tool's lock is free. Its processes must be proven over. */
export async function freeAfterKill(session: Session, startedAtMs: number): Promise<Freed> {
  const endedAtMs = Date.now();
  const ends = session.facts.backend !== null && endsWithHolder.has(session.facts.backend);
  let probe = await probeLock(session);
  // The database hears of the end of a connection a moment later than this machine does.
  for (let again = 0; ends && probe.kind === 'held' && again < 20; again++) {
    await sleep(500);
    probe = await probeLock(session);
  }
  if (probe.kind === 'free') return { kind: 'free', lockId: null };
  if (probe.kind === 'unknown') {
    return { kind: 'unreachable', lockId: null, reason: `its state cannot be reached: ${probe.message}` };
  }
  // What is dated later is the probe's own try, which some backends show instead of the holder.
  const shown = probe.lock;
  const lock = shown?.createdAtMs != null && shown.createdAtMs > endedAtMs ? null : shown;
  if (lock !== null && !ends && isOurs(lock, startedAtMs, endedAtMs) && (await forceUnlock(session, lock.id))) {
    return { kind: 'free', lockId: lock.id };
  }
  const holder = lock?.who ?? 'somebody';
  return {
    kind: 'held',
    lockId: lock?.id ?? null,
    reason: `the state is locked by ${holder}, who cannot be proven to be that tool`,
  };
}

export type Rescue =
  { readonly kind: 'nothing' | 'saved' } | { readonly kind: 'kept'; readonly file: string; readonly reason: string };

/**
 * Saves a state that the tool could not save itself. No process of the tool may run in this work directory.
 * When the backend refuses it, because it has a newer one, the file is put aside and never lost.
 */
export async function rescueState(session: Session): Promise<Rescue> {
  const { run, directory } = session;
  if (!hasLeftState(directory)) return { kind: 'nothing' };
  run.log('An earlier call left a state behind that it could not save; saving it now.\n');
  const push = () => invokeUnlogged(session, ['state', 'push', leftState]);
  let pushed = await push();
  if (pushed.code !== 0 && session.managed) {
    // Only a lock of this very call can be freed this way; the state backend refuses any other.
    const message = messageOfRun(pushed);
    const lock =
      describeFailure({ ...pushed.failure, diagnostics: diagnosticsOf(message) }).class === 'lock'
        ? parseLock(message)
        : null;
    if (lock !== null && (await forceUnlock(session, lock.id))) pushed = await push();
  }
  if (pushed.code === 0) {
    await archiveLeftState(session, 'saved');
    run.log('The state is saved.\n');
    return { kind: 'saved' };
  }
  const reason = describeFailure({ ...pushed.failure, diagnostics: diagnosticsOf(messageOfRun(pushed)) });
  if (/newer state|different lineage|lineage|serial/i.test(messageOfRun(pushed))) {
    const file = await archiveLeftState(session, 'refused');
    run.log(`The backend has a later state than the one left behind, which is kept in ${file}.\n`);
    return { kind: 'kept', file, reason: reason.message };
  }
  // It may be taken the next time; it stays where it is.
  run.log(`It could not be saved yet: ${reason.message}\n`);
  return { kind: 'kept', file: join(directory, leftState), reason: reason.message };
}

async function archiveLeftState(session: Session, what: string): Promise<string> {
  const directory = join(session.run.workDirectory, 'rescued');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, `${new Date().toISOString().replace(/[:.]/g, '-')}-${what}.tfstate`);
  await rename(join(session.directory, leftState), file);
  return file;
}
