import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Approval, Deployment, Environment, OutputDto, Page } from '../src/model/index.ts';
import { startCluster } from './support/cluster.ts';
import type { TestCluster } from './support/cluster.ts';
import { beforeEnd, makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist, processesOf } from './support/processes.ts';
import { toolPath } from './support/tools.ts';
import type { TestClient } from './support/windlass.ts';

let cluster: TestCluster;
let statesUrl: string;
let project: TestProject;
let environment: Environment;

beforeAll(async () => {
  buildDist();
  cluster = await startCluster({ workers: 0 });
  statesUrl = await cluster.postgres.createDatabase('states');
});
afterAll(() => cluster?.stop());
beforeEach(() => {
  project = makeProject('replaced-worker');
});
afterEach(() => project.remove());

const client = (): TestClient => cluster.api.client;
const schema = (): string => project.journal.replace(/\W/g, '_').toLowerCase();
const pgBackend = (): string =>
  `backend "pg" {\n    conn_str = "${statesUrl}?sslmode=disable"\n    schema_name = "${schema()}"\n  }`;
const gate = (): string => join(project.journal, 'go');

/** Stacks with a plan that is like no other: it holds the moment in which it was made. */
async function shop(backends: Readonly<Record<string, string>>, waits = false): Promise<void> {
  const wait = waits ? `; while [ -d ${project.journal} ] && [ ! -e ${gate()} ]; do sleep 0.1; done` : '';
  for (const [name, backend] of Object.entries(backends)) {
    project.write(
      `stacks/${name}/main.tf`,
      `terraform {
  ${backend}
}
resource "terraform_data" "this" {
  input = plantimestamp()
  provisioner "local-exec" {
    command = "echo apply >> ${join(project.journal, name)}${wait}"
  }
}
output "planned" { value = terraform_data.this.output }
`,
    );
  }
  project.workflow({
    environments: Object.fromEntries(
      Object.keys(backends).map((name) => [name, node(name, { requiresApproval: true })]),
    ),
  });
  environment = await makeEnvironment(client(), project);
}

/** The approval that a node waits for, other than one that is known already. */
const pending = async (run: Deployment, alias: string, known?: Approval): Promise<Approval> => {
  const id = await beforeEnd(client(), run, (nodes) => {
    const found = nodes.find((item) => item.alias === alias)?.approvalId ?? null;
    return found === known?.id ? null : found;
  });
  return client().request('GET', `/approvals/${id}`);
};
const approve = (approval: Approval): Promise<Approval> =>
  client().request('POST', `/approvals/${approval.id}/approve`, {});
const approvalsOf = async (run: Deployment): Promise<string[]> =>
  (await client().request<Page<Approval>>('GET', `/approvals?deployment=${run.id}`)).items.map((item) => item.status);
/** What the plan would set; an update shows the old value before it. */
const plannedAt = (run: Deployment, alias: string): Promise<string> =>
  client()
    .text(`/deployments/${run.id}/nodes/${alias}/plan?format=text`)
    .then((text) => /\binput\s+= (?:.* -> )?"([^"]+)"/.exec(text)?.[1] ?? 'nothing');
const outputOf = async (alias: string): Promise<unknown> => {
  const ref = encodeURIComponent(`${environment.name}/${alias}`);
  const page = await client().request<Page<OutputDto>>('GET', `/environments/${ref}/outputs`);
  return page.items.find((output) => output.name === 'planned')?.value;
};
/** Kills the worker there is and starts one that has nothing of it: another data directory. */
async function replaceWorker(name: string): Promise<void> {
  await Promise.all(cluster.workers.filter((worker) => worker.running).map((worker) => worker.kill()));
  cluster.startWorker(name);
}

it('a worker that is replaced while plans wait for approval: the very plans that were approved are applied', async () => {
  cluster.startWorker('one');
  await shop({ managed: '', pg: pgBackend() });
  const run = await client().start(environment.id);
  const approvals = [await pending(run, 'managed'), await pending(run, 'pg')];
  const planned = [await plannedAt(run, 'managed'), await plannedAt(run, 'pg')];
  await replaceWorker('two');
  for (const approval of approvals) await approve(approval);
  const ended = await client().ended(run.id);
  expect([ended.status, (await client().nodes(run.id)).map((item) => item.error)]).toEqual(['succeeded', [null, null]]);
  expect([await outputOf('managed'), await outputOf('pg')]).toEqual(planned);
  expect(await approvalsOf(run)).toEqual(['approved', 'approved']);
  expect([project.lines('managed'), project.lines('pg')]).toEqual([['apply'], ['apply']]);
});

/** A change of the state outside Windlass, by the tool itself: its serial moves on. */
function byHand(backend: string): void {
  const directory = mkdtempSync(join(tmpdir(), 'windlass-by-hand-'));
  writeFileSync(join(directory, 'main.tf'), `terraform {\n  ${backend}\n}\n`);
  const { TF_CLI_CONFIG_FILE: _, ...env } = process.env;
  const tofu = (...args: string[]): Buffer => execFileSync(toolPath('tofu'), args, { cwd: directory, env });
  tofu('init', '-input=false');
  tofu('state', 'mv', 'terraform_data.this', 'terraform_data.moved');
  tofu('state', 'mv', 'terraform_data.moved', 'terraform_data.this');
  rmSync(directory, { recursive: true, force: true });
}

it('and the state changed in between: the new worker plans again and tells the approver why', async () => {
  await replaceWorker('one');
  await shop({ pg: pgBackend() });
  expect((await client().run(environment.id, { requiresApproval: false })).status).toBe('succeeded');
  // Both plans may be made within one second.
  const file = join(project.directory, 'stacks', 'pg', 'main.tf');
  writeFileSync(file, readFileSync(file, 'utf8').replace('plantimestamp()', '"again ${plantimestamp()}"'));
  const run = await client().start(environment.id);
  const approval = await pending(run, 'pg');
  await replaceWorker('two');
  byHand(pgBackend());
  await approve(approval);
  const second = await pending(run, 'pg', approval);
  expect(second.reason).toContain('state changed after the plan was approved');
  const planned = await plannedAt(run, 'pg');
  await approve(second);
  expect((await client().ended(run.id)).status).toBe('succeeded');
  expect(await outputOf('pg')).toBe(planned);
  expect(planned).toMatch(/^again /);
});

it('a worker and its tool that are killed while an approved plan is applied: it is not applied again, and the approver is told', async () => {
  await replaceWorker('one');
  await shop({ managed: '' }, true);
  const run = await client().start(environment.id);
  const approval = await pending(run, 'managed');
  await approve(approval);
  await beforeEnd(client(), run, () => project.lines('managed').length > 0);
  await replaceWorker('two');
  const groups = processesOf(project.journal).map(({ pid }) => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
  });
  for (const group of new Set(groups)) process.kill(-group, 'SIGKILL');
  writeFileSync(gate(), '');
  const second = await pending(run, 'managed', approval);
  expect(second.reason).toContain('was cut off, so it was planned again');
  const planned = await plannedAt(run, 'managed');
  await approve(second);
  expect((await client().ended(run.id)).status).toBe('succeeded');
  expect(await outputOf('managed')).toBe(planned);
  expect(await approvalsOf(run)).toEqual(['approved', 'approved']);
});
