import type { ControlMessage, Decision, EnvironmentView, QueuedRun, ScheduleKind } from '../model/index.ts';
import { WindlassError } from '../model/index.ts';
import type { EntityTarget, ScheduleInput, TemporalGateway } from './temporal-gateway.ts';

/** Stands for Temporal where only what is asked of it matters. The real one is in temporal-client.test.ts. */
export interface RecordingGateway extends TemporalGateway {
  readonly submitted: { target: EntityTarget; run: QueuedRun }[];
  readonly controls: { deploymentId: string; request: ControlMessage }[];
  readonly decisions: { deploymentId: string; alias: string; decision: Decision }[];
  readonly expiries: { environmentId: string; expiresAtMs: number | null }[];
  readonly locks: { environmentId: string }[];
  readonly schedules: Map<string, ScheduleInput>;
  /** Environments' workflows that are there. */
  readonly views: Map<string, EnvironmentView>;
  /** Thrown by every call while set. */
  failure: WindlassError | null;
  /** What the next control is answered with. */
  refusal: WindlassError | null;
}

export const temporalAway = new WindlassError('unavailable', 'Temporal cannot be reached: connection refused');

export function createRecordingGateway(): RecordingGateway {
  const key = (kind: ScheduleKind, environmentId: string): string => `${kind}:${environmentId}`;
  const gateway: RecordingGateway = {
    submitted: [],
    controls: [],
    decisions: [],
    expiries: [],
    locks: [],
    schedules: new Map(),
    views: new Map(),
    failure: null,
    refusal: null,
    submit: async (target, run) => {
      answer();
      const view = gateway.views.get(target.id) ?? { queue: [], running: [], lock: null, expiresAtMs: null };
      if (!view.queue.some((known) => known.deploymentId === run.deploymentId)) {
        gateway.submitted.push({ target, run });
        gateway.views.set(target.id, { ...view, queue: [...view.queue, run] });
      }
      return { position: 0 };
    },
    backlog: async () => (gateway.failure === null ? 0 : null),
    cancelQueued: async (environmentId, { deploymentId }) => {
      answer();
      const view = gateway.views.get(environmentId);
      return view?.queue.some((run) => run.deploymentId === deploymentId) ?? false;
    },
    expiryChanged: async ({ id, expiresAtMs }) => {
      answer();
      gateway.expiries.push({ environmentId: id, expiresAtMs });
    },
    lockChanged: async (environmentId) => {
      answer();
      gateway.locks.push({ environmentId });
    },
    control: async (deploymentId, request) => {
      answer();
      gateway.controls.push({ deploymentId, request });
    },
    decide: async ({ deploymentId, alias }, decision) => {
      answer();
      gateway.decisions.push({ deploymentId, alias, decision });
    },
    view: async (environmentId) => {
      answer();
      return gateway.views.get(environmentId) ?? null;
    },
    putSchedule: async (input) => {
      answer();
      gateway.schedules.set(key(input.kind, input.environmentId), input);
    },
    deleteSchedule: async (kind, environmentId) => {
      answer();
      gateway.schedules.delete(key(kind, environmentId));
    },
    describeSchedule: async (kind, environmentId) => {
      answer();
      const known = gateway.schedules.get(key(kind, environmentId));
      // As if each schedule had missed one firing.
      return known === undefined ? null : { nextRuns: [], paused: known.paused, missed: 1 };
    },
    check: async () => answer(),
    deploymentUrl: (deploymentId) => `http://temporal.test/${deploymentId}`,
  };
  function answer(): void {
    if (gateway.failure) throw gateway.failure;
    const { refusal } = gateway;
    gateway.refusal = null;
    if (refusal) throw refusal;
  }
  return gateway;
}
