import { Router } from 'express';
import { z } from 'zod';
import { WindlassError, messageOf } from '../model/index.ts';

/** One thing that must be there for Windlass to serve. `check` throws with the reason when it is not. */
export interface ReadinessCheck {
  readonly name: string;
  readonly check: () => Promise<void>;
}

export const readinessSchema = z
  .object({
    ready: z.boolean(),
    checks: z.array(
      z.object({ name: z.string(), ok: z.boolean(), reason: z.string().nullable(), hint: z.string().nullable() }),
    ),
  })
  .meta({ id: 'Readiness' });
export type Readiness = z.infer<typeof readinessSchema>;

const checkWithinMs = 4000;
/** Probes of load balancers and open pages ask all the time; what they ask need not be asked anew each time. */
const keptMs = 1000;

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks all at once; a check that hangs counts as failed. */
export async function readReadiness(checks: readonly ReadinessCheck[]): Promise<Readiness> {
  const results = await Promise.all(
    checks.map(async ({ name, check }) => {
      try {
        await within(check(), checkWithinMs);
        return { name, ok: true, reason: null, hint: null };
      } catch (thrown) {
        const hint = thrown instanceof WindlassError ? (thrown.hint ?? null) : null;
        return { name, ok: false, reason: messageOf(thrown).slice(0, 500), hint };
      }
    }),
  );
  return { ready: results.every((result) => result.ok), checks: results };
}

/** `/healthz`: the process lives. `/readyz`: it can serve; if not, why. */
export function healthRouter(checks: readonly ReadinessCheck[]): Router {
  const router = Router();
  let latest: { readonly at: number; readonly answer: Promise<Readiness> } | null = null;

  router.get('/healthz', (_request, response) => {
    response.set('Cache-Control', 'no-store').json({ status: 'ok' });
  });
  router.get('/readyz', async (_request, response) => {
    const now = performance.now();
    if (latest === null || now - latest.at > keptMs) latest = { at: now, answer: readReadiness(checks) };
    const readiness = await latest.answer;
    response.set('Cache-Control', 'no-store');
    if (!readiness.ready) response.set('Retry-After', '5');
    response.status(readiness.ready ? 200 : 503).json(readiness);
  });
  return router;
}
