import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Approval, Deployment, Environment, Page } from '../src/model/index.ts';
import { beforeEnd, makeEnvironment, makeProject, node, nodeAt } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { toolPath } from './support/tools.ts';
import { createTestClient, useTestServer } from './support/windlass.ts';
import type { TestClient } from './support/windlass.ts';

const server = useTestServer();
let project: TestProject;
let environment: Environment;

/** a → b → c and d beside them; b requires approval. */
beforeEach(async () => {
  project = makeProject('approval');
  for (const name of ['a', 'b', 'c', 'd']) project.stack(name);
  project.workflow({
    environments: {
      a: node('a'),
      b: node('b', { needs: ['a'], requiresApproval: true }),
      c: node('c', { needs: ['b'] }),
      d: node('d'),
    },
  });
  environment = await makeEnvironment(server, project);
});
afterEach(() => project.remove());

/** The decision that a run waits for, other than one that is known already. */
const pending = async (run: Deployment, known?: Approval): Promise<Approval> => {
  const id = await beforeEnd(server, run, (nodes) =>
    nodes.map((item) => item.approvalId).find((found) => found !== null && found !== known?.id),
  );
  return server.request('GET', `/approvals/${id}`);
};
const decide = (approval: Approval, verb: 'approve' | 'reject', body: object = {}): Promise<Approval> =>
  server.request('POST', `/approvals/${approval.id}/${verb}`, body);
const waiting = async (request: Record<string, unknown> = {}) => {
  const run = await server.start(environment.id, request);
  const approval = await pending(run);
  return { run, approval };
};
const newClient = async (name: string, permissions: string[]): Promise<TestClient> => {
  const { token } = await server.request<{ token: string }>('POST', '/keys', { name, permissions });
  return createTestClient(server.url, token);
};

it('waits with the counted changes and the full plan, while branches that need no approval go on', async () => {
  const { run, approval } = await waiting();
  await nodeAt(server, run, 'd', 'succeeded');
  expect(approval).toMatchObject({ alias: 'b', counts: { add: 1, change: 0, destroy: 0 }, required: 1 });
  expect(approval.resources.map(({ address, action }) => [address, action])).toEqual([
    ['terraform_data.this', 'create'],
  ]);
  expect(await server.text(`/deployments/${run.id}/nodes/b/plan?format=text`)).toContain('will be created');
  expect((await server.environment(environment.id)).flags.waitingForApproval).toBe(1);
  expect((await server.environment(environment.id)).status).toBe('deployInProgress');
  expect(project.lines('b')).toEqual([]);

  await decide(approval, 'approve', { comment: 'looks right' });
  expect((await server.ended(run.id)).status).toBe('succeeded');
  expect(project.lines('b')).toEqual(['apply']);
  const decided = await server.request<Approval>('GET', `/approvals/${approval.id}`);
  expect(decided).toMatchObject({ status: 'approved', decisions: [{ decision: 'approve', comment: 'looks right' }] });
});

it('ends cancelled when a plan is rejected, and nothing of it is applied', async () => {
  const { run, approval } = await waiting();
  await decide(approval, 'reject', { comment: 'not on a Friday' });
  expect((await server.ended(run.id)).status).toBe('cancelled');
  expect(await server.statuses(run.id)).toMatchObject({ a: 'succeeded', b: 'cancelled', c: 'skipped', d: 'succeeded' });
  expect(project.lines('b')).toEqual([]);
  const repeated = await decide(approval, 'reject', { comment: 'not on a Friday' });
  expect(repeated.status).toBe('rejected');
  expect((await server.raw('POST', `/approvals/${approval.id}/approve`, {})).status).toBe(409);
});

/** A change of a local state outside Windlass, by the tool itself: its serial moves on. */
function byHand(
  state: string,
  commands: readonly (readonly string[])[] = [
    ['mv', 'terraform_data.this', 'terraform_data.moved'],
    ['mv', 'terraform_data.moved', 'terraform_data.this'],
  ],
): void {
  const directory = mkdtempSync(join(tmpdir(), 'windlass-by-hand-'));
  writeFileSync(join(directory, 'main.tf'), `terraform {\n  backend "local" {\n    path = "${state}"\n  }\n}\n`);
  const { TF_CLI_CONFIG_FILE: _, ...env } = process.env;
  const tofu = (...args: string[]): Buffer => execFileSync(toolPath('tofu'), args, { cwd: directory, env });
  tofu('init', '-input=false');
  for (const command of commands) tofu('state', ...command);
  rmSync(directory, { recursive: true, force: true });
}

it('plans again and tells the approver when the state changed after the plan', async () => {
  // The stack keeps its own state, so that somebody can apply it by hand while the run waits.
  const state = join(project.journal, 'b.tfstate');
  const own = `terraform {\n  backend "local" {\n    path = "${state}"\n  }\n}\n`;
  project.write('stacks/b/backend.tf', own);
  expect((await server.run(environment.id, { requiresApproval: false })).status).toBe('succeeded');
  project.stack('b', { value: 'two' });
  const { run, approval } = await waiting();
  byHand(state);
  await decide(approval, 'approve');

  const second = await pending(run, approval);
  expect(second.reason).toContain('state changed after the plan was approved');
  expect(project.lines('b')).toEqual(['apply']);
  await decide(second, 'approve');
  expect((await server.ended(run.id)).status).toBe('succeeded');
  expect(project.lines('b')).toEqual(['apply', 'destroy', 'apply']);
});

it.each([
  { moved: 'so that it is inside of the bounds: it goes on', commands: [['rm', 'terraform_data.this']], asks: 1 },
  { moved: 'and it is outside of the bounds still: it is asked about again', commands: undefined, asks: 2 },
])('measures a plan that is made again against the bounds: the state moved on $moved', async ({ commands, asks }) => {
  const state = join(project.journal, 'b.tfstate');
  project.write('stacks/b/backend.tf', `terraform {\n  backend "local" {\n    path = "${state}"\n  }\n}\n`);
  expect((await server.run(environment.id, { requiresApproval: false })).status).toBe('succeeded');
  project.stack('b', { value: 'two' });
  const { run, approval } = await waiting({ envelope: { maxDestroys: 0 } });
  expect(approval.reason).toContain('outside the approved bounds');
  byHand(state, commands);
  await decide(approval, 'approve');
  if (asks === 2) {
    const second = await pending(run, approval);
    expect(second.reason).toMatch(/state changed after the plan was approved.*outside the approved bounds/);
    await decide(second, 'approve');
  }
  expect((await server.ended(run.id)).status).toBe('succeeded');
  const all = await server.request<Page<Approval>>('GET', `/approvals?deployment=${run.id}`);
  expect(all.items).toHaveLength(asks);
});

it('never applies an approved plan again whose apply failed half-way: a resume shows a new plan and asks about it', async () => {
  project.failing('b', true);
  const { run, approval } = await waiting();
  await decide(approval, 'approve');
  expect((await server.ended(run.id)).status).toBe('failed');
  project.failing('b', false);
  const resumed = await server.request<Deployment>('POST', `/deployments/${run.id}/resume`, {});
  const second = await pending(resumed, approval);
  // The half-made resource is there, so what was an addition is a replacement now.
  expect([approval.counts, second.counts]).toEqual([
    { add: 1, change: 0, destroy: 0 },
    { add: 1, change: 0, destroy: 1 },
  ]);
  expect(await server.text(`/deployments/${resumed.id}/nodes/b/plan?format=text`)).toContain('tainted');
  expect(project.lines('b')).toEqual(['apply']);
  await decide(second, 'approve');
  expect((await server.ended(resumed.id)).status).toBe('succeeded');
});

it('does not ask about a plan without changes', async () => {
  expect((await server.run(environment.id, { requiresApproval: false })).status).toBe('succeeded');
  expect((await server.run(environment.id)).status).toBe('succeeded');
  const all = await server.request<Page<Approval>>('GET', `/approvals?environment=${environment.id}`);
  expect(all.items).toEqual([]);
});

it('follows the request before the file, and the request for one node before the request for all', async () => {
  const run = await server.start(environment.id, {
    requiresApproval: true,
    nodeApprovals: { a: false, b: false, d: false },
  });
  const approval = await pending(run);
  expect(approval.alias).toBe('c');
  await decide(approval, 'approve');
  expect((await server.ended(run.id)).status).toBe('succeeded');
});

it('holds for every node when it is saved for the whole environment, unless the file or the node says otherwise', async () => {
  const save = (ref: string, requiresApproval: boolean | null): Promise<Environment> =>
    server.request('PATCH', `/environments/${encodeURIComponent(ref)}`, { settings: { requiresApproval } });
  expect((await server.run(environment.id, { requiresApproval: false })).status).toBe('succeeded');
  await save(environment.id, true);
  await save(`${environment.name}/a`, false);
  project.stack('c', { value: 'two' });
  project.stack('a', { value: 'two' });
  const changed = await server.start(environment.id);
  const approval = await pending(changed);
  expect(approval.alias).toBe('c');
  await decide(approval, 'approve');
  expect((await server.ended(changed.id)).status).toBe('succeeded');
  expect(project.lines('a').filter((line) => line === 'apply')).toHaveLength(2);
  const destroyed = await server.start(environment.id, { type: 'destroy' });
  expect(['c', 'd']).toContain((await pending(destroyed)).alias);
  await server.request('POST', `/deployments/${destroyed.id}/cancel`, {});
  await server.ended(destroyed.id);
});

it('asks before a destroy, too', async () => {
  expect((await server.run(environment.id, { requiresApproval: false })).status).toBe('succeeded');
  const { run, approval } = await waiting({ type: 'destroy' });
  expect(approval).toMatchObject({ alias: 'b', counts: { add: 0, change: 0, destroy: 1 } });
  expect(project.lines('a')).toEqual(['apply']);
  await decide(approval, 'approve');
  expect((await server.ended(run.id)).status).toBe('succeeded');
  expect(project.lines('a')).toEqual(['apply', 'destroy']);
});

describe('who may approve', () => {
  it('needs the permission', async () => {
    const { run, approval } = await waiting();
    const viewer = await newClient('viewer', ['view', 'execute']);
    const refused = await viewer.raw<{ detail: string }>('POST', `/approvals/${approval.id}/approve`, {});
    expect(refused.status).toBe(403);
    await server.request('POST', `/deployments/${run.id}/cancel`, {});
    expect((await server.ended(run.id)).status).toBe('cancelled');
  });

  it('is not the one who started it when so set, and is as many people as set', async () => {
    await server.request('PATCH', `/environments/${environment.id}`, {
      settings: { forbidSelfApproval: true, requiredApprovals: 2 },
    });
    const { run, approval } = await waiting();
    expect(approval).toMatchObject({ required: 2, forbidRequester: true });
    const own = await server.raw<{ detail: string }>('POST', `/approvals/${approval.id}/approve`, {});
    expect(own.status).toBe(403);
    const ann = await newClient('ann', ['approve', 'view']);
    const ben = await newClient('ben', ['approve', 'view']);
    const first = await ann.request<Approval>('POST', `/approvals/${approval.id}/approve`, {});
    expect(first.status).toBe('pending');
    const again = await ann.request<Approval>('POST', `/approvals/${approval.id}/approve`, {});
    expect(again.decisions).toHaveLength(1);
    expect(project.lines('b')).toEqual([]);
    await ben.request('POST', `/approvals/${approval.id}/approve`, {});
    expect((await server.ended(run.id)).status).toBe('succeeded');
  });
});

describe('an envelope', () => {
  it('lets nodes inside its bounds go on by themselves', async () => {
    const run = await server.run(environment.id, { requiresApproval: true, envelope: { maxChanges: 1 } });
    expect(run.status).toBe('succeeded');
    expect(await server.text(`/deployments/${run.id}/logs?format=text&node=b`)).toContain('Inside the approved bounds');
  });

  it('asks for nodes outside of it, and says why', async () => {
    expect((await server.run(environment.id, { requiresApproval: false })).status).toBe('succeeded');
    project.stack('b', { value: 'two' });
    const { run, approval } = await waiting({ envelope: { maxChanges: 5 } });
    expect(approval.reason).toMatch(/outside the approved bounds/);
    await decide(approval, 'approve');
    expect((await server.ended(run.id)).status).toBe('succeeded');
  });

  it('is given with an approval for the nodes that come later', async () => {
    const run = await server.start(environment.id, { nodeApprovals: { a: true, b: true, c: true } });
    const approval = await pending(run);
    expect(approval.alias).toBe('a');
    await decide(approval, 'approve', { envelope: { maxChanges: 1, maxDestroys: 0 } });
    expect((await server.ended(run.id)).status).toBe('succeeded');
    const all = await server.request<Page<Approval>>('GET', `/approvals?deployment=${run.id}`);
    expect(all.items).toHaveLength(1);
  });

  it('counts as the word of the one who gave it: for two, it takes the bounds of two', async () => {
    await server.request('PATCH', `/environments/${environment.id}`, { settings: { requiredApprovals: 2 } });
    const ann = await newClient('ann of two', ['approve']);
    const ben = await newClient('ben of two', ['approve']);
    const run = await server.start(environment.id, { nodeApprovals: { a: true, b: true, c: true } });
    const first = await pending(run);
    await ann.request('POST', `/approvals/${first.id}/approve`, { envelope: { maxChanges: 1 } });
    await ben.request('POST', `/approvals/${first.id}/approve`, {});
    const second = await pending(run, first);
    expect(second).toMatchObject({ alias: 'b', reason: expect.stringContaining('2 people have to approve it, and 1') });
    await ben.request('POST', `/approvals/${second.id}/approve`, { envelope: { maxChanges: 1 } });
    await ann.request('POST', `/approvals/${second.id}/approve`, {});
    expect((await server.ended(run.id)).status).toBe('succeeded');
    const all = await server.request<Page<Approval>>('GET', `/approvals?deployment=${run.id}`);
    expect(all.items.map(({ alias }) => alias)).toEqual(['b', 'a']);
  });
});

describe('a key that may not approve', () => {
  const deployer = () => newClient(`deployer of ${environment.name}`, ['view', 'execute']);
  const asks = async (client: TestClient, body: object): Promise<Approval> => {
    const run = await client.request<Deployment>('POST', `/environments/${environment.id}/deployments`, body);
    const approval = await pending(run);
    expect(approval.alias).toBe('b');
    await server.request('POST', `/deployments/${run.id}/cancel`, {});
    expect((await server.ended(run.id)).status).toBe('cancelled');
    return approval;
  };

  it.each([
    ['a waiver for all', { requiresApproval: false }],
    ['a waiver for the node', { nodeApprovals: { b: false } }],
    ['bounds', { envelope: { maxChanges: 100, maxDestroys: 100 } }],
    [
      'bounds with a request for approval',
      { requiresApproval: true, nodeApprovals: { a: false, c: false, d: false }, envelope: { maxChanges: 100 } },
    ],
  ])('cannot switch off with %s what the file demands', async (_, body) => {
    await asks(await deployer(), body);
    expect(project.lines('b')).toEqual([]);
  });

  it('cannot do so on a resume of what somebody else had waived', async () => {
    project.failing('b', true);
    const run = await server.run(environment.id, { requiresApproval: false });
    expect(run.status).toBe('failed');
    project.failing('b', false);
    const client = await deployer();
    const resumed = await client.request<Deployment>('POST', `/deployments/${run.id}/resume`, {});
    expect((await pending(resumed)).alias).toBe('b');
    await server.request('POST', `/deployments/${resumed.id}/cancel`, {});
    await server.ended(resumed.id);
  });

  it('may ask for more than is demanded, and say for how much more', async () => {
    const client = await deployer();
    const body = { nodeApprovals: { a: true }, envelope: { maxChanges: 0 } };
    const run = await client.request<Deployment>('POST', `/environments/${environment.id}/deployments`, body);
    expect(await pending(run)).toMatchObject({
      alias: 'a',
      reason: 'the request asked for it; outside the approved bounds: it makes 1 change, and 0 may be made',
    });
    await server.request('POST', `/deployments/${run.id}/cancel`, {});
    await server.ended(run.id);
  });
});
