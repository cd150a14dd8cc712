/** Runs whose graph comes from the records: what was deployed, not what the file says today. */
import { asPlan, selectForDeploy, selectForDestroy, selectForReading } from '../definition/index.ts';
import type { SelectableNode } from '../definition/index.ts';
import type { NodeSnapshot, RunNode } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import { changedSince, findRun, lastSuccessBefore, loadSnapshotsAsOf } from '../store/index.ts';
import type { KnownEnvironment, NewNode } from '../store/index.ts';
import type { ResolveDeps } from './deps.ts';
import {
  aliasOf,
  definitionOf,
  fromRecords,
  isLive,
  lastSnapshot,
  mayExist,
  parallelOf,
  refuse,
  selectableFromRecords,
  withApproval,
} from './resolution.ts';
import type { Resolution, ResolvingRun } from './resolution.ts';

export function resolveDestroy(run: ResolvingRun, known: readonly KnownEnvironment[]): Resolution {
  const existing = known.filter(mayExist);
  const gone = known.filter((node) => !mayExist(node));
  return {
    nodes: fromRecords(run, existing, selectForDestroy(selectableFromRecords(existing), selectableFromRecords(gone))),
    definition: definitionOf(run),
    commit: null,
  };
}

/** `pending`: other runs come first, so that what is there today decides nothing yet. */
export function resolveSingleDestroy(
  run: ResolvingRun,
  known: readonly KnownEnvironment[],
  pending = false,
): Resolution {
  // A dependent that got stuck half-way has resources too.
  const standing = new Set(known.filter(mayExist).map(aliasOf));
  const selectable = selectableFromRecords(known).map((node) => ({ ...node, live: standing.has(node.alias) }));
  const { nodes, problems } = selectForDeploy(selectable, { partial: run.request.partial });
  if (!pending) refuse(problems, 'nothing was destroyed', `what needs what: windlass graph ${run.environment_name}`);
  // What no run has ever begun to make has no code to destroy it with, and needs none.
  const begun = new Set(known.filter((node) => lastSnapshot(node) !== null).map(aliasOf));
  const selected = nodes.map((node): RunNode =>
    node.action !== 'destroy' || begun.has(node.alias)
      ? node
      : {
          alias: node.alias,
          needs: [],
          action: 'keep',
          satisfied: true,
          keptBecause: { kind: 'notSelected', message: 'it was never deployed, so nothing is to be destroyed' },
        },
  );
  return { nodes: fromRecords(run, known, selected), definition: definitionOf(run), commit: null };
}

export function resolveDrift(run: ResolvingRun, known: readonly KnownEnvironment[]): Resolution {
  const nodes = selectForReading(selectableFromRecords(known), 'drift', run.request.partial?.node);
  return {
    nodes: fromRecords(run, known, nodes),
    definition: definitionOf(run, { maxParallel: parallelOf(run, run.settings.drift?.maxParallel ?? 4) }),
    commit: null,
  };
}

/** Brings single nodes back to what was deployed, with the code a check for drift compares with. */
export function resolveRestore(
  run: ResolvingRun,
  known: readonly KnownEnvironment[],
  aliases: readonly string[],
): Resolution {
  const wanted = new Set(aliases);
  const strangers = aliases.filter((alias) => !known.some((node) => aliasOf(node) === alias && isLive(node)));
  refuse(
    strangers.map((alias) => ({ message: `"${alias}" is not deployed, so it cannot be restored` })),
    'nothing was run',
  );
  const { nodes } = selectForDeploy(selectableFromRecords(known), {
    choose: (alias) => (wanted.has(alias) ? 'run' : 'keep'),
  });
  return {
    nodes: fromRecords(run, known, nodes),
    definition: definitionOf(run),
    commit: null,
  };
}

export async function resolveRollback(
  deps: ResolveDeps,
  run: ResolvingRun,
  known: readonly KnownEnvironment[],
): Promise<Resolution> {
  const wanted = run.request.rollbackTo;
  const target =
    wanted === undefined
      ? await lastSuccessBefore(deps.db.sql, run.environment_id, run.id)
      : await findRun(deps.db.sql, run.environment_id, wanted);
  if (target === null) {
    throw new WindlassError(
      'conflict',
      `"${run.environment_name}" has no earlier successful deployment to go back to`,
      {
        class: 'definition',
        hint: 'destroy it instead, or name a deployment with --to',
      },
    );
  }
  const asOf = await loadSnapshotsAsOf(deps.db.sql, run.environment_id, target.number);
  const restored = known.filter((node) => asOf.has(node.id));
  const created = known.filter((node) => !asOf.has(node.id) && mayExist(node));
  const selectable = (
    nodes: readonly KnownEnvironment[],
    snapshot: (node: KnownEnvironment) => NodeSnapshot | null,
  ): SelectableNode[] =>
    nodes.map((node) => ({
      alias: aliasOf(node),
      needs: snapshot(node)?.needs ?? [],
      disabled: false,
      live: isLive(node),
      within: snapshot(node)?.within,
    }));
  // What no later run has touched is as it was then: a run of one node takes one node back.
  const changed = await changedSince(deps.db.sql, run.environment_id, target.number);
  const touched = new Set(
    restored
      .filter((node) => run.request.force || changed.has(node.id) || !isLive(node) || node.status === 'failed')
      .map(aliasOf),
  );
  const selection = selectForDeploy(
    selectable(restored, (node) => asOf.get(node.id) ?? null),
    {
      choose: (alias) => (touched.has(alias) ? 'run' : 'keep'),
      keptBecause: { kind: 'notSelected', message: `unchanged since deployment ${target.number}` },
      removed: selectable(created, lastSnapshot),
      others: selectable(restored, lastSnapshot),
    },
  );
  const nodes = run.type === 'plan' ? asPlan(selection.nodes) : selection.nodes;
  const byAlias = new Map(known.map((node) => [aliasOf(node), node]));
  return {
    nodes: nodes.flatMap((node): NewNode[] => {
      const record = byAlias.get(node.alias);
      if (record === undefined) return [];
      const snapshot = node.removal === 'destroy' ? lastSnapshot(record) : (asOf.get(record.id) ?? null);
      return [
        {
          name: record.name,
          environmentId: record.id,
          snapshot: snapshot === null ? null : withApproval(run, record, snapshot),
          previousSnapshot: record.deployed_snapshot,
          run: node,
        },
      ];
    }),
    definition: definitionOf(run),
    commit: null,
    basedOn: target.id,
  };
}
