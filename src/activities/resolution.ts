/** What every way of resolving a run shares: how records are read, and what comes out. */
import { approvalInRequest, approvalNeeded, approvalSettingsWithin, waiverRefusal } from '../definition/index.ts';
import type { SelectableNode } from '../definition/index.ts';
import type { NodeSnapshot, Problem, RunNode } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import type { KnownEnvironment, KnownGroup, NewNode, RunDefinition, RunRow } from '../store/index.ts';

/** Nodes at once when neither the file, the environment nor the project says how many. */
const defaultMaxParallel = 200;

/** A run with the nodes of its graph on record that are workflows themselves. */
export interface ResolvingRun extends RunRow {
  readonly groups: readonly KnownGroup[];
}

export interface Resolution {
  readonly nodes: readonly NewNode[];
  readonly definition: RunDefinition;
  readonly commit: string | null;
  readonly basedOn?: string | undefined;
  /** What the file no longer lists and a deploy lets go. */
  readonly detached?: readonly KnownEnvironment[] | undefined;
}

export const aliasOf = (known: KnownEnvironment): string => known.alias ?? 'main';
export const isLive = (known: KnownEnvironment | undefined): boolean =>
  known !== undefined && known.deployed_snapshot !== null && known.status !== 'inactive';
/** It may have resources, from a success or from a try that got stuck half-way. */
export const mayExist = (known: KnownEnvironment): boolean =>
  known.status !== 'inactive' && (known.deployed_snapshot !== null || known.begun_snapshot !== null);
/** The code that last worked on it: what a destroy must run. */
export const lastSnapshot = (known: KnownEnvironment): NodeSnapshot | null =>
  known.begun_snapshot ?? known.deployed_snapshot;

export function selectableFromRecords(known: readonly KnownEnvironment[]): SelectableNode[] {
  return known.map((node) => ({
    alias: aliasOf(node),
    needs: lastSnapshot(node)?.needs ?? [],
    disabled: false,
    live: isLive(node),
    within: lastSnapshot(node)?.within,
  }));
}

export function fromRecords(
  run: ResolvingRun,
  known: readonly KnownEnvironment[],
  nodes: readonly RunNode[],
): NewNode[] {
  const byAlias = new Map(known.map((node) => [aliasOf(node), node]));
  return nodes.flatMap((node) => {
    const record = byAlias.get(node.alias);
    if (record === undefined) return [];
    return [
      {
        name: record.name,
        environmentId: record.id,
        snapshot: fromLastRun(run, record),
        previousSnapshot: record.deployed_snapshot,
        run: node,
      },
    ];
  });
}

/** Whether a node needs a person is decided anew: the deploy that made the snapshot may have waived it for itself alone. */
export function withApproval(run: ResolvingRun, record: KnownEnvironment, snapshot: NodeSnapshot): NodeSnapshot {
  const file = snapshot.approvalInFile ?? undefined;
  const { within } = snapshot;
  return { ...snapshot, requiresApproval: weighApproval(run, { alias: aliasOf(record), within, record, file }) };
}

/**
 * Weighs what the request, the file and the saved settings say of one node. A revision that the request names is its word,
 * too: where it may not waive, the file there cannot weaken what is saved or what the file said when the node was deployed.
 */
export function weighApproval(
  run: ResolvingRun,
  node: {
    readonly alias: string;
    readonly within: readonly string[];
    readonly file: boolean | undefined;
    readonly record: Pick<KnownEnvironment, 'settings' | 'deployed_snapshot'> | undefined;
  },
): boolean {
  const { record } = node;
  const around = run.groups.filter((group) => node.within.includes(group.alias));
  const settings = approvalSettingsWithin(record?.settings ?? run.settings, around, run.settings);
  const saved = settings.requiresApproval;
  const mayWaive = waiverRefusal(run.may_waive_approval, settings) === null;
  const before = saved === true || record?.deployed_snapshot?.approvalInFile === true;
  const file = run.request.revision !== undefined && !mayWaive && before ? true : node.file;
  return approvalNeeded({ request: approvalInRequest(run.request, node), mayWaive, file, saved }).needed;
}

/** The smallest of what is said about nodes at once: by the file or the check itself, the environment, the project, the organization. */
export function parallelOf(run: ResolvingRun, wanted?: number): number {
  const said = [wanted, run.settings.maxParallel, ...run.limits].filter((limit) => typeof limit === 'number');
  return said.length === 0 ? defaultMaxParallel : Math.min(...said);
}

/** What a node that the file does not list any more is run with. */
export function fromLastRun(run: ResolvingRun, record: KnownEnvironment): NodeSnapshot | null {
  const snapshot = lastSnapshot(record);
  return snapshot === null ? null : withApproval(run, record, snapshot);
}

export function definitionOf(run: ResolvingRun, over: Partial<RunDefinition> = {}): RunDefinition {
  const verb = { deploy: 'Deploy', destroy: 'Destroy', plan: 'Plan', drift: 'Check drift of', rollback: 'Roll back' }[
    run.type
  ];
  return {
    title: `${verb} "${run.environment_name}" #${run.number}`,
    onFailure: run.request.onFailure ?? 'continue',
    maxParallel: parallelOf(run),
    detach: [],
    ...over,
  };
}

export function refuse(problems: readonly Problem[], consequence: string, hint?: string): void {
  if (problems.length === 0) return;
  const first = problems[0]?.message ?? '';
  throw new WindlassError(
    'invalidDefinition',
    problems.length === 1 ? first : `${problems.length} problems, ${consequence}: ${first}`,
    {
      class: 'definition',
      problems,
      hint,
    },
  );
}
