/** When single nodes of an environment end, and what is to be done about it. Pure; read and carried out by activities. */
import type { Ttl } from '../model/environment.ts';
import { destroyRetryMs } from './expiry.ts';
import type { SelectableNode } from './run-selection.ts';
import { liveDependents } from './run-selection.ts';
import { listed, quote } from './text.ts';
import type { TtlLimits } from './ttl.ts';
import { expiryAfterDeploy, nextTtlMoment, warningsStillGiven } from './ttl.ts';

/** The time to live of a node: what a person set, else what the workflow file says. A date that has passed is nobody's any more. */
export function nodeTtl(
  { saved, fileSeconds }: { readonly saved: Ttl | undefined; readonly fileSeconds: number | null | undefined },
  nowMs: number,
): Ttl | undefined {
  const passed = saved?.kind === 'date' && Date.parse(saved.at) <= nowMs;
  if (saved !== undefined && !passed) return saved;
  return typeof fileSeconds === 'number' ? { kind: 'hours', hours: fileSeconds / 3600 } : undefined;
}

/** When a node ends after a run that was to change it, epoch milliseconds; null for never. */
export function nodeExpiryAfterRun(
  node: {
    readonly expiresAtMs: number | null;
    readonly ttl: Ttl | undefined;
    /** The run has deployed it. */
    readonly deployed: boolean;
    /** It has resources, or may have. */
    readonly exists: boolean;
  },
  /** `restarts`: a deploy of it begins its hours anew, see `restartsTtl`. */
  run: { readonly restarts: boolean; readonly endedAtMs: number },
  limits: Pick<TtlLimits, 'maximumTtlHours'> = {},
): number | null {
  if (!node.exists) return null;
  const begins = node.expiresAtMs === null;
  if (!begins && !(node.deployed && run.restarts)) return node.expiresAtMs;
  // Without one of its own it ends with its environment.
  if (node.ttl === undefined || node.ttl.kind === 'unlimited') return null;
  return expiryAfterDeploy(node.ttl, run.endedAtMs, { maximumTtlHours: limits.maximumTtlHours });
}

/** What has been told of an end. That of another end only says which warnings need not be repeated. */
export interface ExpiryNotice {
  /** The end it belongs to, epoch milliseconds. */
  readonly expiresAtMs: number;
  /** Warnings given, in milliseconds before the end. */
  readonly warnedMs: readonly number[];
  /** Why the end does not come although it is due; null while nothing holds it. */
  readonly held: string | null;
}

export interface ExpiringNode {
  readonly alias: string;
  readonly expiresAtMs: number;
  readonly notice: ExpiryNotice | null;
  /** Its destroy is queued or runs. */
  readonly scheduled: boolean;
}

export interface NodeExpirySteps {
  readonly warn: readonly { readonly alias: string; readonly remainingMs: number; readonly notice: ExpiryNotice }[];
  /** Nodes that are due and that nothing stands on. */
  readonly destroy: readonly string[];
  /** Nodes that are due while others stand on them that do not end now. */
  readonly held: readonly { readonly alias: string; readonly by: readonly string[] }[];
  /** Epoch milliseconds of the next step, should nothing else happen; null when there is none. */
  readonly nextMs: number | null;
}

/** The notice of the end that a node has now. */
export function currentNotice(node: Omit<ExpiringNode, 'scheduled'>, nowMs: number): ExpiryNotice {
  const { expiresAtMs, notice } = node;
  if (notice?.expiresAtMs === expiresAtMs) return notice;
  return { expiresAtMs, warnedMs: warningsStillGiven(notice?.warnedMs ?? [], nowMs, expiresAtMs), held: null };
}

/**
 * What is due now. Dependents go before what they need: a node is destroyed when nothing stands on it any more, waits while
 * all that stand on it are on their way out, and is held by the others.
 */
export function nodeExpirySteps(
  nodes: readonly ExpiringNode[],
  graph: readonly SelectableNode[],
  nowMs: number,
): NodeExpirySteps {
  const warn: NodeExpirySteps['warn'][number][] = [];
  const moments: number[] = [];
  for (const node of nodes) {
    const notice = currentNotice(node, nowMs);
    let moment = nextTtlMoment(nowMs, node.expiresAtMs, notice.warnedMs);
    if (moment.kind === 'warn') {
      const { remainingMs, warnedMs } = moment;
      warn.push({ alias: node.alias, remainingMs, notice: { ...notice, warnedMs } });
      moment = nextTtlMoment(nowMs, node.expiresAtMs, warnedMs);
    }
    if (moment.kind === 'wait') moments.push(moment.untilMs);
  }
  const due = nodes.filter((node) => node.expiresAtMs <= nowMs);
  const { destroy, held } = orderDue(due, graph);
  // What ends a run is looked at then; this is for what holds a node and ends unheard of.
  if (due.length > 0) moments.push(nowMs + destroyRetryMs);
  return { warn, destroy, held, nextMs: moments.length === 0 ? null : Math.min(...moments) };
}

function orderDue(
  due: readonly ExpiringNode[],
  graph: readonly SelectableNode[],
): Pick<NodeExpirySteps, 'destroy' | 'held'> {
  if (due.length === 0) return { destroy: [], held: [] };
  const dependents = liveDependents(graph);
  const dueAliases = new Set(due.map(({ alias }) => alias));
  // Whatever stands on a node that is held stays too, so the reasons are looked for until no more are found.
  const holders = new Map<string, string[]>();
  for (let found = true; found;) {
    found = false;
    for (const { alias } of due) {
      if (holders.has(alias)) continue;
      const by = (dependents.get(alias) ?? []).filter((other) => !dueAliases.has(other) || holders.has(other));
      if (by.length === 0) continue;
      holders.set(alias, by);
      found = true;
    }
  }
  const free = due.filter(({ alias, scheduled }) => !scheduled && !dependents.has(alias));
  return {
    destroy: free.map(({ alias }) => alias),
    held: due.flatMap(({ alias }) => {
      const by = holders.get(alias);
      return by === undefined ? [] : [{ alias, by }];
    }),
  };
}

/** Why a node does not end although it is due, and what to do, for people. */
export function heldByDependents(
  environment: string,
  { alias, by, expiresAtMs }: { readonly alias: string; readonly by: readonly string[]; readonly expiresAtMs: number },
): string {
  const [first = ''] = by;
  const needs = by.length === 1 ? 'needs' : 'need';
  const destroy = `windlass destroy ${quote(`${environment}/${first}`)}`;
  return `${quote(alias)} expired at ${new Date(expiresAtMs).toISOString()}, and ${listed(by.map(quote), 'and')} still ${needs} it: destroy what needs it first (${destroy}), or extend (windlass ttl extend ${quote(`${environment}/${alias}`)} 4h)`;
}
