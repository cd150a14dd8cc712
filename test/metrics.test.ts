import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Approval, Environment } from '../src/model/index.ts';
import { dashboardMetrics, metricsIn } from '../src/metrics/testing.ts';
import { freePort } from './support/processes.ts';
import { beforeEnd, makeApprovedChain, makeEnvironment } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

let project: TestProject;
let environment: Environment;
let ownPort: number;
const token = 'a-token-for-scrapes-only';
const server = useTestServer(async () => {
  ownPort = await freePort();
  return { WINDLASS_METRICS_PORT: String(ownPort), WINDLASS_METRICS_TOKEN: token };
});

beforeAll(async () => {
  project = makeApprovedChain('metrics');
  environment = await makeEnvironment(server, project);
});
afterAll(() => project?.remove());

const scrape = async (url: string): Promise<string> => {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.text();
};

it('tells of a run while it waits, and when it has ended', async () => {
  const run = await server.start(environment.id);
  const approvalId = await beforeEnd(
    server,
    run,
    (nodes) => nodes.find((item) => item.approvalId !== null)?.approvalId,
  );
  const waiting = await scrape(server.url);
  expect(waiting).toContain('windlass_runs_open{type="deploy",status="running"} 1');
  expect(waiting).toContain('windlass_nodes_open{waits_for="approval"} 1');
  expect(waiting).toContain('windlass_nodes_open{waits_for="other_nodes"} 1');
  expect(waiting).toContain('windlass_node_duration_seconds_count{action="deploy",ending="succeeded"} 1');

  await server.request<Approval>('POST', `/approvals/${approvalId}/approve`, {});
  expect((await server.ended(run.id)).status).toBe('succeeded');
  const over = await scrape(server.url);
  expect(over).toContain('windlass_runs_total{type="deploy",ending="succeeded"} 1');
  expect(over).toContain('windlass_run_duration_seconds_count{type="deploy",ending="succeeded"} 1');
  expect(over).toContain('windlass_node_duration_seconds_count{action="deploy",ending="succeeded"} 3');
  expect(over).toMatch(/windlass_node_stage_duration_seconds_count\{stage="apply"\} 3/);
  expect(over).not.toContain('windlass_runs_open{');
});

it('has on its own port all that the dashboard asks for, and asks for the token', async () => {
  const url = `http://127.0.0.1:${ownPort}`;
  expect((await fetch(`${url}/metrics`)).status).toBe(401);
  const there = metricsIn(await scrape(url));
  const asked = dashboardMetrics(readFileSync(join(__dirname, '../temporal/dashboards/windlass.json'), 'utf8'));
  expect([...asked].filter((name) => name.startsWith('temporal_')).length).toBeGreaterThan(3);
  expect([...asked].filter((name) => !there.has(name))).toEqual([]);
});
