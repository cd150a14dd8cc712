import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Deployment, Template } from '../src/model/index.ts';
import { startCluster } from './support/cluster.ts';
import { makeEnvironment, makeProject, node, unique } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { buildDist, freePort, startUp, tailOf } from './support/processes.ts';
import { toolPath } from './support/tools.ts';
import { createTestClient } from './support/windlass.ts';
import type { TestClient } from './support/windlass.ts';

const projects: TestProject[] = [];
const roots: string[] = [];
const fresh = (name: string): string => {
  const root = mkdtempSync(join(tmpdir(), `windlass-${name}-`));
  roots.push(root);
  return root;
};

beforeAll(() => buildDist());
afterAll(() => {
  for (const project of projects) project.remove();
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

interface Secrets {
  /** Data directory of the process that runs the tools. */
  readonly data: string;
  readonly files: readonly string[];
  /** Stands in the environment of Windlass's processes alone. */
  readonly marker: string;
  readonly pid: number;
}

/** Shell that tries to reach what no stack may reach, and writes down what it has reached. */
function probe({ data, files, marker, pid }: Secrets, journal: string): string {
  const reads = files.map((file) => `cat '${file}' >/dev/null 2>&1 && echo 'read ${file.slice(data.length)}' >&3`);
  return `exec 3>>'${journal}'
${reads.join('\n')}
grep -q -a -F '${marker}' /proc/[0-9]*/environ 2>/dev/null && echo 'read an environment' >&3
kill -0 ${pid} 2>/dev/null && echo 'reached the process' >&3
for other in '${data}'/work/*; do
  case $PWD in "$other"/*) ;; *) ls "$other"/tree >/dev/null 2>&1 && echo 'saw the work of another' >&3 ;; esac
done
(: >'${data}'/work/planted) 2>/dev/null || true
for path in ../../../*; do case $path in */tree.json | */init.json) echo 'saw the notes of its worker' >&3 ;; esac; done
(echo core >/proc/sys/kernel/core_pattern) 2>/dev/null && echo 'changed the machine' >&3
echo done >&3
exit 0
`;
}

/** Runs a stack of each kind that probes, with a key of the project alone; answers what each has reached. */
async function reached(client: TestClient, secrets: Secrets): Promise<Record<string, string[]>> {
  const project = makeProject('isolation');
  projects.push(project);
  // A stack may be another user's.
  chmodSync(dirname(project.journal), 0o755);
  chmodSync(project.journal, 0o777);
  const script = (name: string): string => probe(secrets, join(project.journal, name));
  project.write('stacks/first/deploy.sh', script('first'));
  project.write('stacks/script/deploy.sh', script('script'));
  project.write('stacks/hook/deploy.sh', 'true\n');
  project.write('stacks/hook/probe.sh', script('hook'));
  project.write('stacks/hook/env0.yml', 'version: 2\ndeploy:\n  onSuccess:\n    - sh ./probe.sh\n');
  project.write('stacks/tofu/probe.sh', script('tofu'));
  project.write(
    'stacks/tofu/main.tf',
    'resource "terraform_data" "this" {\n  provisioner "local-exec" { command = "sh ./probe.sh" }\n}\n',
  );
  const shell = (name: string): Record<string, unknown> => ({ vcs: { type: 'shell', path: `stacks/${name}` } });
  project.workflow({
    environments: {
      first: shell('first'),
      script: { ...shell('script'), needs: ['first'] },
      hook: { ...shell('hook'), needs: ['first'] },
      tofu: node('tofu', { needs: ['first'] }),
    },
  });
  const environment = await makeEnvironment(client, project);
  const { token } = await client.request<{ token: string }>('POST', '/keys', {
    name: unique('stack'),
    permissions: [`execute@${environment.projectId}`],
  });
  const run = await createTestClient(client.url, token).run(environment.id);
  expectSucceeded(run, await client.nodes(run.id));
  const planted = existsSync(join(secrets.data, 'work', 'planted')) ? ['wrote beside its work directory'] : [];
  const names = ['script', 'hook', 'tofu'];
  return Object.fromEntries(names.map((name) => [name, [...planted, ...new Set(project.lines(name))]]));
}

function expectSucceeded(run: Deployment, nodes: readonly unknown[]): void {
  if (run.status !== 'succeeded') throw new Error(JSON.stringify([run, nodes]));
}

const nothing = { script: ['done'], hook: ['done'], tofu: ['done'] };

/** A PATH with everything of this machine but these programs. */
function pathWithout(...hidden: readonly string[]): string {
  const directory = fresh('path');
  chmodSync(directory, 0o755);
  for (const from of ['/usr/sbin', '/usr/bin']) {
    for (const name of readdirSync(from)) {
      if (hidden.includes(name)) continue;
      rmSync(join(directory, name), { force: true });
      symlinkSync(join(from, name), join(directory, name));
    }
  }
  return directory;
}

describe('everything in one process', () => {
  async function inUp(env: Record<string, string>): Promise<Record<string, string[]>> {
    const root = fresh('isolation');
    const data = join(root, 'data');
    mkdirSync(data);
    const marker = unique('only-in-the-environment-of-the-server');
    const up = await startUp({ dataDirectory: data, port: await freePort(), env: { MARKER: marker, ...env } });
    try {
      const files = ['administrator.token', 'encryption.key', 'server.json'].map((name) => join(data, name));
      return await reached(up.client, { data, files, marker, pid: up.pid });
    } finally {
      await up.stop();
    }
  }

  test('a stack reaches nothing of Windlass, of other stacks, or of the machine', async () => {
    expect(await inUp({})).toEqual(nothing);
  });

  test('nor when the operator shows stacks a directory that holds all of it', async () => {
    expect(await inUp({ WINDLASS_STACK_PATHS: `${tmpdir()}` })).toEqual(nothing);
  });

  test('no source is what is Windlass’s own', async () => {
    const root = fresh('isolation');
    const data = join(root, 'data');
    mkdirSync(data);
    const up = await startUp({ dataDirectory: data, port: await freePort() });
    try {
      const make = (directory: string, path = '.'): Promise<Template> =>
        up.client.createTemplate({ name: unique('own'), type: 'shell', source: { kind: 'local', directory, path } });
      await expect(make(data)).rejects.toThrow(/Windlass's own/);
      // A directory around it is copied without it.
      mkdirSync(join(root, 'code'));
      writeFileSync(join(root, 'code', 'deploy.sh'), 'test ! -e ../data\n');
      const { name } = await make(root, 'code');
      const environment = await up.client.createEnvironment({ name, template: name });
      const run = await up.client.run(environment.id);
      expectSucceeded(run, await up.client.nodes(run.id));
    } finally {
      await up.stop();
    }
  });

  test('without a sandbox it reaches all of it, so these probes can tell', async () => {
    const all = [
      ...['/administrator.token', '/encryption.key', '/server.json'].map((file) => `read ${file}`),
      'read an environment',
      'reached the process',
      'saw the work of another',
      'wrote beside its work directory',
    ];
    const found = await inUp({ WINDLASS_ISOLATION: 'off' });
    for (const name of ['script', 'hook', 'tofu']) expect(found[name]).toEqual(expect.arrayContaining(all));
  });
});

describe('server and workers', () => {
  async function inCluster(env: Record<string, string>): Promise<Record<string, string[]>> {
    const cluster = await startCluster({ workers: 0, env });
    try {
      chmodSync(cluster.root, 0o755);
      const { pid } = cluster.startWorker();
      const data = join(cluster.root, 'worker', 'data');
      const token = join(cluster.root, 'server', 'data', 'administrator.token');
      const key = join(data, 'encryption.key');
      writeFileSync(key, 'as where a worker shares it\n', { mode: 0o600 });
      const marker = cluster.databaseUrl;
      return await reached(cluster.api.client, { data, files: [key, token], marker, pid });
    } finally {
      await cluster.stop();
    }
  }

  test('a stack reaches nothing of a worker, of other stacks, or of the machine', async () => {
    expect(await inCluster({})).toEqual(nothing);
  });

  test('without bubblewrap each stack has a user of its own', async () => {
    // Where other users can get to, unlike a home directory.
    const cache = fresh('cache');
    chmodSync(cache, 0o755);
    const tofu = join(cache, 'tofu');
    copyFileSync(toolPath('tofu'), tofu);
    const env = { PATH: pathWithout('bwrap'), WINDLASS_CACHE: join(cache, 'windlass'), WINDLASS_TOFU: tofu };
    expect(await inCluster(env)).toEqual(nothing);
  });

  test('no source of this machine is taken, unless the operator allows it', async () => {
    const allowed = fresh('sources');
    const cluster = await startCluster({
      workers: 0,
      env: { WINDLASS_LOCAL_SOURCES: allowed, WINDLASS_ALLOW_LOCAL_GIT: 'false' },
    });
    try {
      const take = async (source: Record<string, unknown>): Promise<unknown> => {
        const input = { name: unique('source'), type: 'opentofu', source };
        const { status, body } = await cluster.api.client.raw<{ detail?: string }>('POST', '/templates', input);
        return status < 300 ? 'taken' : body.detail;
      };
      mkdirSync(join(allowed, 'code'));
      symlinkSync('/etc', join(allowed, 'elsewhere'));
      expect(await take({ kind: 'local', directory: join(allowed, 'code') })).toBe('taken');
      for (const directory of ['/etc', `${allowed}/../`, join(allowed, 'elsewhere'), cluster.root])
        expect(await take({ kind: 'local', directory })).toMatch(/may not be a source/);
      for (const repository of [
        ...['http://127.0.0.1:8080/x.git', 'http://localhost/x.git', 'https://2130706433/x.git', 'http://[::1]/x.git'],
        ...['http://169.254.169.254/x.git', 'ssh://git@[fe80::1]/x.git', 'git@localhost:x.git', '/srv/x.git'],
      ])
        expect(await take({ kind: 'git', repository })).toMatch(/not allowed here/);
      for (const repository of ['file:///srv/x.git', 'git://example.com/x.git', 'ext::sh -c id'])
        expect(await take({ kind: 'git', repository })).not.toBe('taken');
    } finally {
      await cluster.stop();
    }
  });

  test('without any way a worker does not start, and says what to do', async () => {
    const cluster = await startCluster({ workers: 0, env: { PATH: pathWithout('bwrap', 'setpriv') } });
    try {
      const worker = cluster.startWorker();
      await cluster.api.client.until(() => !worker.running);
      expect(tailOf(worker.logFile)).toMatch(/cannot be kept apart[^]*install bubblewrap[^]*WINDLASS_ISOLATION=off/);
    } finally {
      await cluster.stop();
    }
  });
});
