import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { tryLock } from '../src/host/index.ts';
import type { Deployment } from '../src/model/index.ts';
import { commitAll, serveGit } from './support/git.ts';
import { beforeEnd, makeEnvironment, makeProject, node, unique } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const projects: TestProject[] = [];
const undo: (() => void)[] = [];

/** Of this file alone: a tool that is being got is staged in it. */
const cache = mkdtempSync(join(tmpdir(), 'windlass-cache-'));
const server = useTestServer({ WINDLASS_SOURCE_PATIENCE_SECONDS: '30', WINDLASS_CACHE: cache });

afterEach(() => {
  for (const step of undo.splice(0)) step();
});
afterAll(() => {
  for (const project of projects) project.remove();
  rmSync(cache, { recursive: true, force: true });
});

const portOf = (listening: { address(): AddressInfo | string | null }): number =>
  (listening.address() as AddressInfo).port;

/** A git host that takes every connection and never says a word. */
async function silentHost(): Promise<string> {
  const sockets = new Set<Socket>();
  const host = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
  undo.push(() => {
    for (const socket of sockets) socket.destroy();
    host.close();
  });
  return `http://127.0.0.1:${portOf(host)}/shop.git`;
}

async function fromGit(repository: string) {
  const name = unique('git');
  await server.createTemplate({ name, type: 'workflow', source: { kind: 'git', repository } });
  return server.createEnvironment({ name, template: name });
}

/** A run that reads from a host that never answers, when its record says so. */
async function readingForEver() {
  const environment = await fromGit(await silentHost());
  const run = await server.start(environment.id);
  const progress = await server.until(
    async () => (await server.request<Deployment>('GET', `/deployments/${run.id}`)).progress,
  );
  return { environment, run, progress };
}

async function oneStack(settings: Record<string, unknown> = {}) {
  const project = makeProject('ends');
  projects.push(project);
  project.stack('a', settings);
  project.workflow({ environments: { a: node('a') } });
  return { project, environment: await makeEnvironment(server, project) };
}

const post = (run: Deployment, verb: string): Promise<Deployment> =>
  server.request('POST', `/deployments/${run.id}/${verb}`, {});

describe('a run that is still being read', () => {
  it('says what it reads, and since when', async () => {
    const { run, progress } = await readingForEver();
    expect(progress).toMatch(/^reading git repository http:\/\/127\.0\.0\.1:\d+\/shop\.git, \d+ s$/);
    await post(run, 'cancel');
    expect((await server.ended(run.id)).progress).toBeNull();
  });

  it.each([
    ['cancel', 'cancelled'],
    ['abort', 'aborted'],
    ['rollback', 'rolledBack'],
  ])('ends on %s', async (verb, status) => {
    const { environment, run } = await readingForEver();
    await post(run, verb);
    expect(await server.ended(run.id)).toMatchObject({ status, counts: { total: 0 } });
    expect(await server.environment(environment.id)).toMatchObject({
      status: 'neverDeployed',
      currentDeploymentId: null,
    });
  });

  it('keeps its environment from being archived, by its number; force aborts it', async () => {
    const { environment, run } = await readingForEver();
    const refused = await server.raw<{ detail: string; hint: string }>('DELETE', `/environments/${environment.id}`);
    expect(refused.status).toBe(409);
    expect(refused.body.detail).toContain('deployment 1 (deploy, running)');
    expect(refused.body.hint).toContain(`windlass abort ${environment.name}`);
    await server.request('DELETE', `/environments/${environment.id}?force=true`);
    expect(await server.request<Deployment>('GET', `/deployments/${run.id}`)).toMatchObject({ status: 'aborted' });
    expect((await server.environment(environment.id)).flags.archived).toBe(true);
  });

  it('leaves a stack that is deployed as deployed when it cannot be read', async () => {
    const project = makeProject('ends');
    projects.push(project);
    project.write('deploy.sh', 'exit 0\n');
    const environment = await makeEnvironment(server, project, { type: 'shell' });
    expect((await server.run(environment.id)).status).toBe('succeeded');
    project.remove();
    const failed = await server.run(environment.id);
    expect(failed).toMatchObject({ status: 'failed', error: { class: 'definition' } });
    expect((await server.environment(environment.id)).status).toBe('active');
  });
});

it.each(['/proc/self', '/sys/kernel', '/dev/pts'])(
  'a source that is no place for code fails at once: %s',
  async (directory) => {
    const name = unique('odd');
    await server.createTemplate({ name, type: 'workflow', source: { kind: 'local', directory } });
    const environment = await server.createEnvironment({ name, template: name });
    const run = await server.run(environment.id);
    expect(run).toMatchObject({ status: 'failed', error: { class: 'definition' } });
    expect(run.error?.message).toMatch(/is no place for code/);
  },
);

it('a git host that is away is asked again, and its return is noticed', async () => {
  const { project } = await oneStack();
  const commit = commitAll(project.directory);
  let answers = 0;
  const host: Server = createServer((request, response) => {
    answers++;
    if (answers < 3) {
      response.statusCode = 503;
      return void response.end();
    }
    serveGit(dirname(project.directory), request, response);
  });
  await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
  undo.push(() => host.close());
  const environment = await fromGit(`http://127.0.0.1:${portOf(host)}/source`);
  expect(await server.run(environment.id)).toMatchObject({ status: 'succeeded', sourceCommit: commit, error: null });
});

describe('a node whose tool is still being got', () => {
  /** Somebody else is getting it, and does not come to an end. */
  async function gettingTool() {
    const lock = tryLock(join(cache, 'tools', 'opentofu.lock'));
    if (!lock.held) throw new Error('another process is getting OpenTofu just now');
    undo.push(() => lock.lock.release());
    const project = makeProject('ends');
    projects.push(project);
    project.stack('a');
    project.workflow({ environments: { a: { vcs: { type: 'opentofu', path: 'stacks/a', version: '1.6.0' } } } });
    const environment = await makeEnvironment(server, project);
    const run = await server.start(environment.id);
    return { environment, run };
  }

  it.each([
    ['cancel', 'cancelled'],
    ['abort', 'aborted'],
  ])('says so in its record and its log, and ends on %s', async (verb, status) => {
    const { environment, run } = await gettingTool();
    const progress = await beforeEnd(server, run, ([only]) => only?.progress);
    expect(progress).toMatch(/^getting OpenTofu 1\.6\.0: waiting for another start that is getting it/);
    await post(run, verb);
    expect((await server.ended(run.id)).status).toBe(status);
    expect(await server.statuses(run.id)).toEqual({ a: status });
    expect((await server.environment(environment.id)).status).toBe('neverDeployed');
  });
});
