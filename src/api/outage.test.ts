import type { ProblemDetails } from '../model/index.ts';
import { temporalAway } from '../operations/gateway.test-support.ts';
import { startHarness } from './api.test-support.ts';

test('with the database gone every call says so and when to try again, and the process lives', async () => {
  const api = await startHarness();
  try {
    expect((await api.call('GET', 'projects')).status).toBe(200);
    await api.db.close();
    for (const [method, path] of [
      ['GET', 'projects'],
      ['POST', 'projects'],
      ['GET', 'deployments/dep_x/events'],
    ] as const) {
      const answer = await api.call<ProblemDetails>(method, path, method === 'POST' ? { body: { name: 'x' } } : {});
      expect([path, answer.status, answer.body.code]).toEqual([path, 503, 'unavailable']);
      expect(answer.body.detail).toMatch(/database/);
      expect(answer.headers.get('retry-after')).toBe('5');
    }
    expect((await api.call('GET', '/healthz')).status).toBe(200);
    const ready = await api.call<{ ready: boolean; checks: object[] }>('GET', '/readyz');
    expect(ready.status).toBe(503);
    expect(ready.body.checks).toMatchObject([
      { name: 'database', ok: false, reason: expect.stringMatching(/database/) as string },
      { name: 'Temporal', ok: true, reason: null },
      { name: 'encryption key', ok: true, reason: null },
    ]);
  } finally {
    await api.close();
  }
});

test('with Temporal gone readiness names it with the reason, and comes back by itself', async () => {
  const api = await startHarness();
  try {
    api.gateway.failure = temporalAway;
    const away = await api.call<{ checks: { name: string }[] }>('GET', '/readyz');
    expect(away.status).toBe(503);
    expect(away.body.checks).toContainEqual({ name: 'Temporal', ok: false, reason: temporalAway.message, hint: null });
    expect((await api.call('GET', 'projects')).status).toBe(200);
    api.gateway.failure = null;
    let status = 503;
    // The answer is kept for a second.
    for (const end = Date.now() + 10_000; status !== 200 && Date.now() < end;)
      status = (await api.call('GET', '/readyz')).status;
    expect(status).toBe(200);
  } finally {
    await api.close();
  }
});
