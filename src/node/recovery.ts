import { countTakeover } from '../metrics/index.ts';
import { workerDeadAfterMs } from '../model/index.ts';
import type { Journal, NodeOutcome, StateUnverified } from '../model/index.ts';
import type { ApplyResult } from '../tools/index.ts';
import { endCall } from './call.ts';
import type { NodeCall } from './call.ts';

/** Watched at least this long, longer than between two signs: a database that was away has missed some. */
const watchAtLeastMs = 7000;
const lookEveryMs = 1000;

export type Recovered =
  | { readonly kind: 'clean' }
  /** Go on, but look at the real state first: a plan made before the crash is not applied any more. */
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'finished'; readonly result: ApplyResult }
  | { readonly kind: 'over'; readonly outcome: NodeOutcome };

/** Finds out what became of an earlier call for this node that ended unseen, before anything is repeated. */
export async function recoverNode(call: NodeCall): Promise<Recovered> {
  const { journal } = call.begin;
  if (journal === null || !journal.open) return { kind: 'clean' };
  const { deps, records, begin, run, runner } = call;
  const sameHost = journal.host === deps.worker.host && journal.bootId === deps.worker.bootId;
  const workerDead = journal.workerId === deps.worker.id || (await isDead(call, journal, sameHost));
  run.log(
    `An earlier call of the tool ended unseen in stage "${journal.stage}"${sameHost ? '' : ` on ${journal.host}`}; finding out what it did.\n`,
  );
  // Seen by whoever looks; the evidence of the call that is looked into stays until it is known what became of it.
  if (journal.changes) await run.enter('recover');
  const recovery = await runner.recover(run, {
    stage: journal.stage,
    changes: journal.changes,
    sameHost,
    workerDead,
  });
  countTakeover(recovery.kind);
  switch (recovery.kind) {
    case 'clean':
      await freeLock(call, journal, 'the tool that took it is over and changed nothing');
      // The call that was to plan over a cut-off change has died as well: nothing of before is applied still.
      call.crash.cutOff = journal.cutOff ?? null;
      return { kind: call.crash.cutOff === null ? 'clean' : 'interrupted' };
    case 'finished':
      run.log('It went on without its worker and ended well; nothing is repeated.\n');
      return { kind: 'finished', result: recovery.result };
    case 'interrupted':
      // Until the node is whole again: what the tool made last may be in no state.
      await records.markUnverified(unverified(call, recovery));
      await freeLock(call, journal, recovery.detail);
      call.crash.cutOff = journal.stage;
      run.log(
        `State unverified: ${recovery.detail}.\nIt is read anew (refresh) and planned against before going on.\n`,
      );
      return { kind: 'interrupted' };
    case 'unknown': {
      await endCall(call, {
        status: 'failed',
        // Its tool may be at work elsewhere, and without the grant what it makes would be in no state.
        openGrantId: journal.grantId,
        error: {
          class: 'internal',
          message: `the state of "${begin.alias}" is unverified: ${recovery.detail}`,
          hint: `look at what it really made, then: windlass state verify ${begin.entity_id}/${begin.alias} --reason "…"`,
        },
        environment: {
          status: 'failed',
          stateUnverified: unverified(call, recovery),
        },
      });
      return {
        kind: 'over',
        outcome: {
          status: 'failed',
          class: 'internal',
          message: `state unverified: ${recovery.detail}`,
          changedState: true,
        },
      };
    }
  }
}

function unverified(
  call: NodeCall,
  found: { readonly detail: string; readonly lockId: string | null },
): StateUnverified {
  const since = new Date().toISOString();
  return { since, deploymentId: call.key.deploymentId, reason: found.detail, lockId: found.lockId };
}

/** Its power to write ends first; only then is the lock it may hold given back. */
async function freeLock(call: NodeCall, journal: Journal, because: string): Promise<void> {
  if (journal.grantId === null) return;
  const lockId = await call.records.freeLock(journal.grantId, because);
  if (lockId !== null) call.run.log(`Freed the lock ${lockId}, which that call had taken.\n`);
}

/**
 * On this machine the process itself tells; here only the records count. Elsewhere nothing else does, so it is waited
 * until the worker has either given a sign or been silent for too long.
 */
async function isDead(call: NodeCall, journal: Journal, sameHost: boolean): Promise<boolean> {
  const { records, run } = call;
  const first = await records.workerSigns(journal.workerId);
  if (first === null) return false;
  const begunMs = performance.now();
  for (let now = first; ; now = (await records.workerSigns(journal.workerId)) ?? first) {
    if (now.stopped) return true;
    if (now.seenAt !== first.seenAt) return false;
    if (now.silentMs > workerDeadAfterMs && (sameHost || performance.now() - begunMs > watchAtLeastMs)) return true;
    if (sameHost || run.signal.aborted) return false;
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}
