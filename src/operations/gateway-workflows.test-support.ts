/** Workflows that answer as the real ones are agreed to, for testing the gateway alone. */
import { ApplicationFailure, condition, defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';

interface Run {
  readonly deploymentId: string;
}

export async function environment(input: { state?: { lock: unknown; expiresAtMs: number | null } }): Promise<void> {
  const queue: Run[] = [];
  const lock: unknown = input.state?.lock ?? null;
  const expiresAtMs: number | null = input.state?.expiresAtMs ?? null;
  setHandler(
    defineUpdate<{ position: number }, [Run]>('submit'),
    (run) => {
      if (!queue.some((known) => known.deploymentId === run.deploymentId)) queue.push(run);
      return { position: queue.findIndex((known) => known.deploymentId === run.deploymentId) };
    },
    {
      validator: (_run) => {
        if (lock !== null)
          throw ApplicationFailure.nonRetryable('the environment is locked by someone: because', 'locked');
      },
    },
  );
  setHandler(defineUpdate<{ cancelled: boolean }, [Run]>('cancelQueued'), ({ deploymentId }) => {
    const at = queue.findIndex((run) => run.deploymentId === deploymentId);
    if (at >= 0) queue.splice(at, 1);
    return { cancelled: at >= 0 };
  });
  // They only say that the records have changed; the queue tells the test that they came.
  setHandler(defineUpdate<void, [object]>('setLock'), () => void queue.push({ deploymentId: 'lock' }));
  setHandler(defineUpdate<void, [object]>('setExpiry'), () => void queue.push({ deploymentId: 'expiry' }));
  setHandler(defineQuery('view'), () => ({ queue, running: [], lock, expiresAtMs }));
  await condition(() => false);
}

export async function deployment(): Promise<void> {
  let over = false;
  setHandler(
    defineUpdate<void, [{ kind: string }]>('control'),
    ({ kind }) => {
      if (kind === 'abort') over = true;
    },
    {
      validator: ({ kind }) => {
        if (kind === 'continue') throw ApplicationFailure.nonRetryable('the run is not paused', 'conflict');
      },
    },
  );
  setHandler(defineUpdate<void, [unknown]>('decide'), () => undefined);
  await condition(() => over);
}
