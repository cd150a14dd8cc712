import { countRun } from '../metrics/index.ts';
import type { DeploymentStatus, DeploymentType } from '../model/index.ts';
import { endRunSpan } from '../tracing/index.ts';

interface EndedRun {
  readonly id: string;
  readonly environment_id: string;
  readonly number: number;
  readonly type: DeploymentType;
  readonly ending: DeploymentStatus;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
  readonly traceparent: string | null;
}

/** To those who watch the installation: its metrics and its traces. */
export function observeRunEnd(run: EndedRun): void {
  const { type, ending, number, traceparent } = run;
  const startMs = run.started_at?.getTime() ?? null;
  const endMs = run.finished_at?.getTime() ?? Date.now();
  countRun({ type, ending, seconds: startMs === null ? null : (endMs - startMs) / 1000 });
  if (startMs === null) return;
  const attributes = {
    'windlass.deployment.id': run.id,
    'windlass.environment.id': run.environment_id,
    'windlass.number': number,
    'windlass.type': type,
    'windlass.outcome': ending,
  };
  const error = ending === 'failed' || ending === 'rollbackFailed' ? ending : null;
  endRunSpan({ deploymentId: run.id, traceparent, startMs, endMs, attributes, error });
}
