import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { messageOf } from '../../model/index.ts';
import { ToolError } from '../runner.ts';
import type { ManagedState } from '../runner.ts';
import { outputValueSchema } from './events.ts';

const stateSchema = z.object({
  serial: z.number().int().nonnegative(),
  lineage: z.string(),
  outputs: z.record(z.string(), outputValueSchema).default({}),
});
export type StateContents = z.infer<typeof stateSchema>;

const waitsMs = [200, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000, 10_000, 10_000];

/**
 * Reads the state that Windlass keeps, the way the tool does, without a process. Null when there is none.
 * Tries again for about a minute while the API does not answer.
 */
export async function readManagedState(state: ManagedState, signal: AbortSignal): Promise<StateContents | null> {
  const authorization = `Basic ${Buffer.from(`${state.username}:${state.password}`).toString('base64')}`;
  for (let attempt = 0; ; attempt++) {
    let reason: string;
    try {
      const response = await fetch(state.address, { headers: { authorization }, signal });
      if (response.status === 204 || response.status === 404) return null;
      if (response.ok) {
        const text = await response.text();
        return text === '' ? null : stateSchema.parse(JSON.parse(text));
      }
      reason = `it answered ${response.status}`;
      if (response.status < 500 && response.status !== 429) attempt = waitsMs.length;
    } catch (error) {
      if (signal.aborted) throw error;
      reason = messageOf(error);
    }
    const waitMs = waitsMs[attempt];
    if (waitMs === undefined) {
      throw new ToolError(
        {
          class: 'internal',
          message: `the state of this environment could not be read: ${reason}`,
          hint: 'See whether the Windlass API runs and workers can reach its address.',
        },
        false,
      );
    }
    await sleep(waitMs, undefined, { signal });
  }
}

const holderSchema = z.object({ ID: z.string() });

/**
 * Frees the lock that a killed tool of this very call has left. Only its own grant can do that: the state backend refuses
 * the locks of others, so this is safe whoever holds it. Answers the id of the lock that was freed.
 */
export async function releaseOwnLock(state: ManagedState): Promise<string | null> {
  const authorization = `Basic ${Buffer.from(`${state.username}:${state.password}`).toString('base64')}`;
  const ask = (method: 'LOCK' | 'UNLOCK', id: string) =>
    fetch(state.address, {
      method,
      headers: { authorization },
      body: JSON.stringify({ ID: id }),
      signal: AbortSignal.timeout(10_000),
    });
  // There is no way to look at a lock but to try to take it.
  const probe = randomUUID();
  try {
    const taken = await ask('LOCK', probe);
    if (taken.ok) {
      await ask('UNLOCK', probe);
      return null;
    }
    if (taken.status !== 423 && taken.status !== 409) return null;
    const holder = holderSchema.safeParse(JSON.parse(await taken.text()));
    if (!holder.success) return null;
    return (await ask('UNLOCK', holder.data.ID)).ok ? holder.data.ID : null;
  } catch {
    // The caller looks at the lock again when it ends the run.
    return null;
  }
}
