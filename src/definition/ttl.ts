/** When an environment ends by itself. Bundled into the workflow sandbox: types only, no clock of its own. */
import type { DeploymentType } from '../model/deployment.ts';
import type { Ttl } from '../model/environment.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** How long before the end people are warned, in milliseconds, longest first. */
export const ttlWarningsMs: readonly number[] = [2 * dayMs, 2 * hourMs, 30 * minuteMs];

export interface TtlLimits {
  readonly defaultTtl?: Ttl | undefined;
  /** Longest life in hours, counted from the deploy; an unlimited life is cut to it too. */
  readonly maximumTtlHours?: number | undefined;
}

/** When an environment that was deployed at `deployedAtMs` ends, in epoch milliseconds; null lives for ever. */
export function expiryAfterDeploy(ttl: Ttl | undefined, deployedAtMs: number, limits: TtlLimits = {}): number | null {
  const wanted = momentOf(ttl ?? limits.defaultTtl ?? { kind: 'unlimited' }, deployedAtMs);
  if (limits.maximumTtlHours === undefined) return wanted;
  const latest = deployedAtMs + limits.maximumTtlHours * hourMs;
  return wanted === null ? latest : Math.min(wanted, latest);
}

/**
 * Whether a deploy that succeeded begins the hours anew: one that a person or a schedule asked for, of all or of a part.
 * Taking a single node away, repairing drift and going back do not make the environment any younger.
 */
export function restartsTtl(run: {
  readonly type: DeploymentType;
  readonly trigger: string;
  readonly request: {
    readonly partial?: { readonly operation: string } | undefined;
    readonly restoreNodes?: readonly string[] | undefined;
  };
}): boolean {
  const { partial, restoreNodes } = run.request;
  return (
    run.type === 'deploy' &&
    run.trigger !== 'drift' &&
    restoreNodes === undefined &&
    partial?.operation !== 'single-node-destroy'
  );
}

/** Why a time to live cannot be set, for people; null when it can. Hours are counted from now. */
export function ttlProblem(ttl: Ttl, nowMs: number, limits: TtlLimits = {}): string | null {
  const moment = momentOf(ttl, nowMs);
  if (moment !== null && Number.isNaN(moment)) return 'the date of the time to live cannot be read';
  if (moment !== null && moment <= nowMs)
    return `the time to live ended at ${new Date(moment).toISOString()}; give a later one`;
  const { maximumTtlHours } = limits;
  if (maximumTtlHours === undefined) return null;
  if (moment === null) return `an unlimited time to live is not allowed here; the maximum is ${maximumTtlHours} hours`;
  return moment > nowMs + maximumTtlHours * hourMs
    ? `the time to live is longer than the maximum of ${maximumTtlHours} hours`
    : null;
}

function momentOf(ttl: Ttl, fromMs: number): number | null {
  switch (ttl.kind) {
    case 'unlimited':
      return null;
    case 'hours':
      return fromMs + ttl.hours * hourMs;
    case 'date':
      return Date.parse(ttl.at);
  }
}

export type TtlMoment =
  | { readonly kind: 'destroy' }
  | {
      readonly kind: 'warn';
      /** Time really left. */
      readonly remainingMs: number;
      /** To be kept in place of the list that was passed. */
      readonly warnedMs: readonly number[];
    }
  /** Nothing to do before this time, epoch milliseconds. */
  | { readonly kind: 'wait'; readonly untilMs: number };

/**
 * What is due now. Of several warnings whose time has passed, only the nearest to the end is given, and never one further
 * from the end than one already given: a short life, or a server that was away for a while, brings one warning, not three.
 *
 * `warnedMs` holds the warnings given, in milliseconds before the end. Whoever moves the end passes it through
 * `warningsStillGiven`, so that those whose time is ahead again are given again.
 */
export function nextTtlMoment(nowMs: number, expiresAtMs: number, warnedMs: readonly number[]): TtlMoment {
  const remainingMs = expiresAtMs - nowMs;
  if (remainingMs <= 0) return { kind: 'destroy' };
  const due = ttlWarningsMs.filter((warningMs) => warningMs >= remainingMs);
  const nearest = due[due.length - 1];
  if (nearest !== undefined && !warnedMs.some((warningMs) => warningMs <= nearest)) {
    return { kind: 'warn', remainingMs, warnedMs: [...warnedMs, nearest] };
  }
  const next = ttlWarningsMs.find((warningMs) => warningMs < remainingMs) ?? 0;
  return { kind: 'wait', untilMs: expiresAtMs - next };
}

/** Of the warnings given for an earlier end, those whose time is past for this one too; the others are given again. */
export function warningsStillGiven(warnedMs: readonly number[], nowMs: number, expiresAtMs: number): number[] {
  return warnedMs.filter((warningMs) => warningMs >= expiresAtMs - nowMs);
}
