/** What every way of resolving a run shares: how records are read, and what comes out. */
import { approvalNeeded } from '../definition/index.ts';
import type { SelectableNode } from '../definition/index.ts';
import type { NodeSnapshot, NodeStatus, Problem, RunNode } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import type { ActivityDeps } from './deps.ts';
import { findDeployment, loadPastNodes } from './run-store.ts';
import type { KnownEnvironment, NewNode, RunDefinition, RunRow } from './run-store.ts';

/** Nodes at once when neither the file, the environment nor the project says how many. */
const defaultMaxParallel = 200;

export interface Resolution {
  readonly nodes: readonly NewNode[];
  readonly definition: RunDefinition;
  readonly commit: string | null;
  readonly basedOn?: string | undefined;
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
  }));
}

export function fromRecords(run: RunRow, known: readonly KnownEnvironment[], nodes: readonly RunNode[]): NewNode[] {
  const byAlias = new Map(known.map((node) => [aliasOf(node), node]));
  return nodes.flatMap((node) => {
    const record = byAlias.get(node.alias);
    if (record === undefined) return [];
    return [
      {
        name: record.name,
        environmentId: record.id,
        snapshot: withApproval(run, node, record),
        previousSnapshot: record.deployed_snapshot,
        run: node,
      },
    ];
  });
}

/** Whether a destroy needs a person is decided anew: the deploy that made the snapshot may have waived it for itself alone. */
function withApproval(run: RunRow, node: RunNode, record: KnownEnvironment): NodeSnapshot | null {
  const snapshot = lastSnapshot(record);
  if (snapshot === null || node.action !== 'destroy') return snapshot;
  const { needed } = approvalNeeded({
    request: run.request.nodeApprovals?.[node.alias] ?? run.request.requiresApproval,
    file: snapshot.approvalInFile ?? undefined,
    saved: record.settings.requiresApproval,
  });
  return { ...snapshot, requiresApproval: needed };
}

/** The smallest of what is said about nodes at once: by the file or the check itself, the environment, the project, the organization. */
export function parallelOf(run: RunRow, wanted?: number): number {
  const said = [wanted, run.settings.maxParallel, ...run.limits].filter((limit) => typeof limit === 'number');
  return said.length === 0 ? defaultMaxParallel : Math.min(...said);
}

export function definitionOf(run: RunRow, over: Partial<RunDefinition> = {}): RunDefinition {
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

export async function statusesOf(deps: ActivityDeps, run: RunRow, reference: string): Promise<Map<string, NodeStatus>> {
  const base = await findDeployment(deps.db.sql, run.environment_id, reference);
  if (base === null)
    throw new WindlassError('notFound', `deployment ${reference} is not one of "${run.environment_name}"`, {
      class: 'definition',
    });
  return new Map((await loadPastNodes(deps.db.sql, base.id)).map((node) => [node.alias, node.status]));
}

export function refuse(problems: readonly Problem[], consequence: string): void {
  if (problems.length === 0) return;
  const first = problems[0]?.message ?? '';
  throw new WindlassError(
    'invalidDefinition',
    problems.length === 1 ? first : `${problems.length} problems, ${consequence}: ${first}`,
    {
      class: 'definition',
      problems,
    },
  );
}
