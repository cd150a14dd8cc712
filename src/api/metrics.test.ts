import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterCommit } from '../store/index.ts';
import { dashboardMetrics, metricsIn } from '../metrics/testing.ts';
import { startHarness } from './api.test-support.ts';
import type { Harness } from './api.test-support.ts';

let api: Harness;
const token = 'a-token-for-scrapes-only';
beforeAll(async () => {
  api = await startHarness({ metrics: { token } });
});
afterAll(() => api.close());

const scrape = async (): Promise<string> => (await api.call('GET', '/metrics', { token })).text;

describe('who may scrape', () => {
  it('takes a key that may look at everything, or the token for scrapes', async () => {
    const project = (await api.environment('seen')).projectId;
    const statuses = async (bearer: string | null): Promise<number> =>
      (await api.call('GET', '/metrics', { token: bearer })).status;
    expect(await statuses(null)).toBe(401);
    expect(await statuses('wrong')).toBe(401);
    expect(await statuses(await api.key([`view@${project}`]))).toBe(403);
    expect(await statuses(await api.key(['view']))).toBe(200);
    expect(await statuses(token)).toBe(200);
  });

  it('gives the token for scrapes nothing else', async () => {
    expect((await api.call('GET', 'environments', { token })).status).toBe(401);
  });
});

describe('requests', () => {
  it('are counted by the pattern of their route', async () => {
    const { id } = await api.environment('counted');
    await api.call('GET', `environments/${id}`);
    await api.call('GET', '/nothing/here');
    const text = await scrape();
    expect(text).toMatch(
      /windlass_http_request_duration_seconds_count\{method="GET",route="\/api\/v1\/environments\/:\w+",status="200"\} [1-9]/,
    );
    expect(text).toMatch(/route="other",status="404"/);
    expect(text).not.toContain(id);
  });
});

describe('records', () => {
  it('are counted at the scrape', async () => {
    const before = await scrape();
    expect(before).toContain('windlass_environment_locks 0');
    const { id } = await api.environment('locked');
    await api.call('POST', `environments/${id}/lock`, { body: { reason: 'look' } });
    await api.call('POST', `environments/${id}/deployments`, { body: { type: 'plan' } });
    const after = await scrape();
    expect(after).toContain('windlass_environment_locks 1');
    expect(after).toContain('windlass_runs_queued{type="plan"} 1');
    expect(after).toContain('windlass_runs_open{type="plan",status="queued"} 1');
    expect(after).toContain('windlass_scrape_failures{look="records"} 0');
  });

  it('that cannot be looked up are left out, and the rest is told', async () => {
    const other = await startHarness({ metrics: { token } });
    await other.db.close();
    const { status, text } = await other.call('GET', '/metrics', { token });
    await other.close();
    expect(status).toBe(200);
    expect(text).toContain('windlass_scrape_failures{look="records"} 1');
    expect(text).not.toContain('windlass_runs_open');
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds');
  });
});

describe('work after a commit', () => {
  it('is done when the transaction is committed, and never when it is not', async () => {
    const done: string[] = [];
    await api.db.transaction(async () => {
      afterCommit(() => done.push('committed'));
      await Promise.resolve();
      expect(done).toEqual([]);
    });
    await expect(
      api.db.transaction(() => {
        afterCommit(() => done.push('rolled back'));
        return Promise.reject(new Error('no'));
      }),
    ).rejects.toThrow('no');
    expect(done).toEqual(['committed']);
  });
});

describe('the dashboard', () => {
  it('asks for no metric of ours that there is not', async () => {
    const file = join(__dirname, '../../temporal/dashboards/windlass.json');
    const asked = dashboardMetrics(readFileSync(file, 'utf8'));
    const own = [...asked].filter((name) => !name.startsWith('temporal_'));
    expect(own.length).toBeGreaterThan(10);
    const there = metricsIn(await scrape());
    expect(own.filter((name) => !there.has(name))).toEqual([]);
  });
});
