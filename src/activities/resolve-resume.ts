/** Runs that go on from an earlier one: with its snapshot, or with the file read again. */
import type { Choice } from '../definition/index.ts';
import { isLast } from '../definition/index.ts';
import type { PartialRun } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { findRun, loadPastNodes } from '../store/index.ts';
import type { FoundRun, KnownEnvironment, NewNode, PastNode } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';
import { definitionOf, isLive, withApproval } from './resolution.ts';
import type { Resolution, ResolvingRun } from './resolution.ts';

/** The deployment of this environment that a run goes on from. Throws when it is none of its own. */
async function baseOf(deps: ResolveDeps, run: ResolvingRun, reference: string): Promise<FoundRun> {
  const base = await findRun(deps.db.sql, run.environment_id, reference);
  if (base === null)
    throw new WindlassError('notFound', `deployment ${reference} is not one of "${run.environment_name}"`, {
      class: 'definition',
    });
  return base;
}

/** What becomes of a node in a run that goes on from the one it is a record of. */
function resumedChoice(node: PastNode, all: readonly PastNode[]): Choice {
  if (node.status === 'succeeded' || node.action === 'keep') return 'keep';
  if (node.engine.onlyOnChange !== true) return 'run';
  // Left out because nothing it reads had changed: so it stays, unless that was never found out.
  if (node.status === 'skipped' && node.reason?.kind === 'notSelected') return 'keep';
  const changed = [...node.needs, ...(node.engine.reads ?? [])].some((index) => all[index]?.changed_outputs === true);
  return changed ? 'run' : 'onChange';
}

export interface Resume {
  /** The run that is resumed was for the whole graph. One for a part of it stays within that part. */
  readonly whole: boolean;
  /** The part it was for. */
  readonly partial: PartialRun | undefined;
  /** undefined when that run never knew its nodes: then everything it was for is run. */
  readonly choose: ((alias: string) => Choice) | undefined;
}

/** What a resume does to each node of the refreshed file. */
export async function resumeWithFile(deps: ResolveDeps, run: ResolvingRun, reference: string): Promise<Resume> {
  let base = await baseOf(deps, run, reference);
  let past = await loadPastNodes(deps.db.sql, base.id);
  while (past.length === 0 && base.request.resume !== undefined) {
    base = await baseOf(deps, run, base.request.resume.deployment);
    past = await loadPastNodes(deps.db.sql, base.id);
  }
  let first = base;
  while (first.request.resume !== undefined) first = await baseOf(deps, run, first.request.resume.deployment);
  const { partial, restoreNodes } = first.request;
  const destroys = past.some((node) => node.action === 'destroy' && !isLast(node.engine));
  if (destroys || partial?.operation === 'single-node-destroy' || restoreNodes !== undefined) {
    throw new WindlassError('conflict', `deployment ${base.number} does not deploy what the file says`, {
      class: 'definition',
      hint: 'resume it without the refreshed file',
    });
  }
  const whole = partial === undefined;
  if (past.length === 0) return { whole, partial, choose: undefined };
  const byAlias = new Map(past.map((node) => [node.alias, node]));
  const choose = (alias: string): Choice => {
    const node = byAlias.get(alias);
    if (node === undefined) return whole ? 'run' : 'keep';
    // The file may have it enabled by now.
    if (node.action === 'keep') return whole && node.reason?.kind === 'disabled' ? 'run' : 'keep';
    return resumedChoice(node, past);
  };
  return { whole, partial, choose };
}

/** A resume with the snapshot of the earlier run. */
export async function resolveResume(
  deps: ResolveDeps,
  run: ResolvingRun,
  known: readonly KnownEnvironment[],
  reference: string,
): Promise<Resolution> {
  const base = await baseOf(deps, run, reference);
  const past = await loadPastNodes(deps.db.sql, base.id);
  const knownById = new Map(known.map((node) => [node.id, node]));
  const nodes = past.map((node): NewNode => {
    const record = knownById.get(node.environment_id);
    const choice = resumedChoice(node, past);
    const { onlyOnChange: _, ...engine } = node.engine;
    return {
      name: record?.name ?? node.alias,
      environmentId: node.environment_id,
      snapshot:
        node.snapshot === null || record === undefined ? node.snapshot : withApproval(run, record, node.snapshot),
      previousSnapshot: record?.deployed_snapshot ?? null,
      run:
        choice === 'keep'
          ? {
              alias: node.alias,
              needs: node.needs,
              action: 'keep',
              satisfied: node.status === 'succeeded' || isLive(record),
              keptBecause: { kind: 'notSelected', message: `done in deployment ${base.number}` },
            }
          : { ...engine, ...(choice === 'onChange' ? { onlyOnChange: true as const } : {}) },
    };
  });
  // What the file said for that run as a whole still holds.
  const { onFailure, maxParallel, detach } = base.definition ?? {};
  const kept = Object.fromEntries(
    Object.entries({ onFailure: run.request.onFailure ?? onFailure, maxParallel, detach }).filter(
      ([, value]) => value !== undefined,
    ),
  );
  return { nodes, definition: definitionOf(run, kept), commit: null, basedOn: base.id };
}
