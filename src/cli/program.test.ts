import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCli } from './program.ts';
import type { SessionDependencies } from './session.ts';
import type { FakeServer } from '../client/fake-server.test-support.ts';
import { openSse, page, problem, startFakeServer } from '../client/fake-server.test-support.ts';
import type { FakeIo, FakeIoOptions } from './testing/fake-io.test-support.ts';
import { fakeIo } from './testing/fake-io.test-support.ts';
import {
  at,
  makeApproval,
  makeDeployment,
  makeEnvironment,
  makeEvent,
  shopNodes,
} from './testing/records.test-support.ts';

let home: string;
let server: FakeServer | undefined;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'windlass-cli-'));
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  rmSync(home, { recursive: true, force: true });
});

type Routes = Parameters<typeof startFakeServer>[0];

/** Nothing may be started by these commands. */
const noServer: SessionDependencies = {
  start: () => Promise.reject(new Error('must not start a server')),
  findRunning: () => Promise.resolve(null),
};

async function serve(routes: Routes): Promise<FakeServer> {
  server = await startFakeServer(routes);
  return server;
}

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(words: string, routes: Routes = {}, options: FakeIoOptions = {}): Promise<Result> {
  const { url } = server ?? (await serve(routes));
  const io = fakeIo({
    ...options,
    env: { XDG_CONFIG_HOME: home, WINDLASS_URL: url, WINDLASS_TOKEN: 'k'.repeat(20), NO_COLOR: '1', ...options.env },
  });
  return finish(io, runCli(words.match(/'[^']*'|\S+/g)?.map((word) => word.replace(/^'|'$/g, '')) ?? [], io, noServer));
}

async function finish(io: FakeIo, code: Promise<number>): Promise<Result> {
  return { code: await code, out: io.out(), err: io.err() };
}

const ana = { id: 'key_1', kind: 'key', name: 'ana', permissions: ['*'] };
const done = (status: 'succeeded' | 'failed' | 'cancelled' | 'aborted' = 'succeeded') =>
  makeDeployment({ status, finishedAt: at(3) });

/** A server with one environment whose run ends as it is told. */
function shop(status: Parameters<typeof done>[0] = 'succeeded'): Routes {
  const nodes = shopNodes().map((node) => ({
    ...node,
    status: 'succeeded' as const,
    startedAt: at(0),
    finishedAt: at(1),
  }));
  return {
    'GET /environments/shop': () => makeEnvironment({ currentDeploymentId: null }),
    'GET /environments/env_shop': () => makeEnvironment({ currentDeploymentId: null }),
    'GET /environments/shop%2Feks': () =>
      makeEnvironment({ id: 'env_eks', parentId: 'env_shop', alias: 'eks', name: 'EKS', type: 'opentofu' }),
    'GET /environments/env_shop/graph': () => ({
      nodes: shopNodes().map(({ alias, name, needs }) => ({
        alias,
        within: [],
        name,
        needs,
        environmentId: `env_${alias}`,
        status: 'active',
        disabled: false,
        drift: 'ok',
        stateUnverified: null,
        expiresAt: null,
        expiryHeld: null,
        templateName: name,
        type: 'opentofu',
      })),
    }),
    'POST /environments/env_shop/deployments': ({ response }) => {
      response
        .writeHead(202, { 'content-type': 'application/json' })
        .end(JSON.stringify(makeDeployment({ status: 'queued' })));
      return undefined;
    },
    'GET /deployments/dep_1/events': ({ response }) => {
      const send = openSse(response);
      send({ event: 'snapshot', data: { deployment: makeDeployment(), nodes: shopNodes() } });
      const event = makeEvent(1, 'node.status', { alias: 'vpc', data: { index: 0, status: 'running' } });
      send({ id: 1, event: event.type, data: event });
      send({ event: 'end', data: { status } });
      return undefined;
    },
    'GET /deployments/dep_1': () => done(status),
    'GET /deployments/dep_1/nodes': () => page(...nodes),
    'GET /deployments': () => page(done('failed')),
    'POST /deployments/dep_1/resume': () => makeDeployment(),
  };
}

describe('deploy', () => {
  test('asks for a run, follows it line by line without a terminal, and ends with 0', async () => {
    const { code, out } = await run('deploy shop --comment hello', shop());
    expect(code).toBe(0);
    expect(out.split('\n').slice(0, 3)).toEqual([
      expect.stringMatching(
        /Z {2}Deploying shop, deployment 8: VPC and Network, DB, EKS, Billing Service, Configuration Service, Notification Service$/,
      ),
      expect.stringMatching(/Z {2}VPC and Network: started$/),
      expect.stringMatching(/^✔ Active · 6 deployed · 3\.0 s/),
    ]);
    expect(server?.calls.find(({ line }) => line.startsWith('POST'))?.body).toMatchObject({
      type: 'deploy',
      comment: 'hello',
      variables: [],
    });
  });

  test('a path is one node of the environment, and its variables are that node’s', async () => {
    await run("deploy shop/eks --var 'nodes:=3' --trickle-down all", shop());
    expect(server?.calls.find(({ line }) => line.startsWith('POST'))?.body).toMatchObject({
      partial: { operation: 'single-node-deploy', node: 'eks', trickleDown: 'all' },
      variables: [{ name: 'nodes', type: 'number', value: 3, alias: 'eks' }],
    });
    await run('deploy shop/eks --from-here', shop());
    expect(server?.calls.findLast(({ line }) => line.startsWith('POST'))?.body).toMatchObject({
      partial: { operation: 'run-from-here', node: 'eks' },
    });
  });

  test.each([
    ['failed', 1],
    ['cancelled', 5],
    ['aborted', 5],
  ] as const)('a run that ends %s ends the command with %d', async (status, code) => {
    expect((await run('deploy shop', shop(status))).code).toBe(code);
  });

  test('--json is one event a line on stdout, and nothing else there', async () => {
    const { out } = await run('deploy shop --json', shop());
    const events = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string });
    expect(events.map(({ type }) => type)).toEqual(['snapshot', 'node.status', 'end']);
  });

  test('on a terminal the tree is drawn in place and stays at the end', async () => {
    const { code, out } = await run('deploy shop', shop(), { terminal: true });
    expect(code).toBe(0);
    expect(out).toContain('\u001b[?25l');
    expect(out.trimEnd().endsWith('windlass destroy shop')).toBe(true);
    expect(out.indexOf('\u001b[?25h')).toBeLessThan(out.indexOf('✔ Active'));
  });

  test('--detach prints how to follow the run and leaves', async () => {
    const { code, out } = await run('deploy shop --detach', shop());
    expect(code).toBe(0);
    expect(out).toContain('windlass deployment watch dep_1');
    expect(server?.lines().some((line) => line.includes('/events'))).toBe(false);
  });

  test('flags that contradict each other are refused before anything is asked for', async () => {
    for (const words of [
      'deploy shop --approve --require-approval',
      'deploy shop --from-here',
      'deploy shop/eks --from-here --trickle-down all',
    ]) {
      const { code, err } = await run(words, shop());
      expect([words, code]).toEqual([words, 2]);
      expect(err).toMatch(/^error: /);
    }
    expect(server?.lines('POST')).toEqual([]);
  });
});

describe('waiting for a decision', () => {
  const waiting = (): Routes => ({
    ...shop(),
    'GET /deployments/dep_1': () => makeDeployment(),
    'GET /approvals': () => page(makeApproval()),
    'GET /deployments/dep_1/nodes': () =>
      page(
        ...shopNodes({
          vpc: { status: 'succeeded' },
          db: { status: 'succeeded' },
          eks: { status: 'waitingForApproval', approvalId: 'apr_1' },
        }),
      ),
    'GET /deployments/dep_1/events': ({ response }) => {
      const nodes = shopNodes({
        vpc: { status: 'succeeded' },
        db: { status: 'succeeded' },
        eks: { status: 'waitingForApproval', approvalId: 'apr_1' },
      });
      openSse(response)({ event: 'snapshot', data: { deployment: makeDeployment(), nodes } });
      return undefined;
    },
  });

  test('without a terminal the command ends with 4 and says what to do', async () => {
    const { code, err } = await run('deploy shop', waiting());
    expect(code).toBe(4);
    expect(err).toContain('EKS needs approval: 1 to add, 2 to change, 1 to destroy (aws_eks_node_group.old)');
    expect(err).toContain('windlass approve shop/eks');
  });

  test('on a terminal it goes on until Ctrl-C, which leaves the run alone', async () => {
    const { url } = await serve(waiting());
    const io = fakeIo({
      terminal: true,
      env: { XDG_CONFIG_HOME: home, WINDLASS_URL: url, WINDLASS_TOKEN: 'k'.repeat(20), NO_COLOR: '1' },
    });
    const ended = finish(io, runCli(['deploy', 'shop'], io, noServer));
    await io.seen('EKS needs approval');
    io.interrupt();
    const { code, err } = await ended;
    expect(code).toBe(130);
    expect(err).toContain('Detached. Deployment 8 of shop goes on.');
    expect(err).toContain('windlass cancel shop');
    expect(server?.lines('POST')).toEqual(['POST /environments/env_shop/deployments']);
  });
});

describe('destroy', () => {
  test('without a terminal it names what would go and does nothing', async () => {
    const { code, err } = await run('destroy shop', shop());
    expect(code).toBe(2);
    expect(err).toContain(
      'Notification Service (active), Configuration Service (active), Billing Service (active), EKS (active), DB (active), VPC and Network (active)',
    );
    expect(err).toContain('windlass destroy shop --yes');
    expect(server?.lines('POST')).toEqual([]);
  });

  test('--yes goes on, one node is its own kind of run', async () => {
    await run('destroy shop --yes', shop());
    await run('destroy shop/eks --yes --force', shop());
    expect(server?.calls.filter(({ line }) => line.startsWith('POST')).map(({ body }) => body)).toMatchObject([
      { type: 'destroy' },
      { type: 'destroy', partial: { operation: 'single-node-destroy', node: 'eks', force: true } },
    ]);
  });
});

describe('approve', () => {
  const pending = (...approvals: ReturnType<typeof makeApproval>[]): Routes => ({
    ...shop(),
    'GET /deployments': () => page(makeDeployment()),
    'GET /approvals': () => page(...approvals),
    'POST /approvals/apr_1/approve': () => makeApproval({ status: 'approved' }),
    'POST /approvals/apr_1/reject': () => makeApproval({ status: 'rejected' }),
  });

  test('one that waits is decided, with comment and bounds', async () => {
    const { code, out, err } = await run(
      'approve shop/eks --comment seen --max-changes 5 --types a,b',
      pending(makeApproval()),
    );
    expect(code).toBe(0);
    expect(out).toBe('eks: approved +1 ~2 -1, it goes on\n');
    expect(err).toContain('aws_eks_node_group.old');
    expect(server?.calls.at(-1)?.body).toEqual({
      comment: 'seen',
      envelope: { maxChanges: 5, maxDestroys: 0, allowedTypes: ['a', 'b'] },
    });
  });

  test('of several one must be named', async () => {
    const { code, err } = await run('reject shop', pending(makeApproval(), makeApproval({ id: 'apr_2', alias: 'db' })));
    expect(code).toBe(2);
    expect(err).toContain('shop/eks');
    expect(err).toContain('--all');
    expect(server?.lines('POST')).toEqual([]);
  });

  test('when nothing waits, it says so', async () => {
    const { code, err } = await run('approve shop/eks', pending());
    expect([code, err.split('\n')[0]]).toEqual([1, 'error: "shop/eks" waits for no decision']);
  });
});

test('resume takes the last deployment, and the file as it is when asked', async () => {
  const { code } = await run('resume shop --refresh', shop());
  expect(code).toBe(0);
  expect(server?.calls.find(({ line }) => line === 'POST /deployments/dep_1/resume')?.body).toEqual({
    refresh: true,
    mayDestroy: [],
  });
});

test('retry gives the node the variables first; a secret is never in the arguments', async () => {
  const node = '/deployments/dep_1/nodes/eks';
  const routes = {
    ...shop(),
    'GET /environments/shop': () => makeEnvironment({ currentDeploymentId: 'dep_1' }),
    'GET /environments/env_shop': () => makeEnvironment({ currentDeploymentId: 'dep_1' }),
    'GET /deployments': () => page(makeDeployment({ status: 'running' })),
    [`PUT ${node}/variables`]: () => shopNodes()[0],
    [`POST ${node}/retry`]: () => makeDeployment({ status: 'running' }),
  };
  const { code, err } = await run("retry shop/eks --var 'size:=3' --secret-env TOKEN", routes, {
    env: { TOKEN: 'hush' },
  });
  expect([code, err]).toEqual([0, '']);
  expect(server?.calls.filter(({ line }) => line.includes(node)).map(({ line }) => line)).toEqual([
    `PUT ${node}/variables`,
    `POST ${node}/retry`,
  ]);
  expect(server?.calls.find(({ line }) => line.startsWith('PUT '))?.body).toMatchObject([
    { name: 'size', kind: 'tool', type: 'number', value: 3, alias: 'eks' },
    { name: 'TOKEN', kind: 'environment', value: 'hush', sensitive: true, alias: 'eks' },
  ]);
  await run('retry shop/eks', routes);
  expect(server?.lines('PUT')).toHaveLength(1);
});

test('cancel ends with 0 when the run was cancelled, and waits until then', async () => {
  const routes: Routes = {
    ...shop('cancelled'),
    'GET /deployments': () => page(makeDeployment()),
    'POST /deployments/dep_1/cancel': () => makeDeployment({ status: 'stopping' }),
  };
  expect((await run('cancel shop --reason mistake', routes)).code).toBe(0);
  expect(server?.calls.find(({ line }) => line.endsWith('/cancel'))?.body).toEqual({ reason: 'mistake' });
});

describe('lists', () => {
  const routes: Routes = {
    'GET /environments': () =>
      page(makeEnvironment(), makeEnvironment({ id: 'env_2', name: 'other', status: 'failed', expiresAt: at(3605) })),
  };

  test('a table for people', async () => {
    expect((await run('environment list', routes)).out.split('\n')).toEqual([
      'NAME   STATUS  TEMPLATE     EXPIRES  CHANGED  ID',
      'shop   active  Online shop  -        5 s ago  env_shop',
      'other  failed  Online shop  in 1 h   5 s ago  env_2',
      '',
    ]);
  });

  test('JSON and YAML for machines, also under an alias', async () => {
    expect(JSON.parse((await run('env ls --json', routes)).out)).toHaveLength(2);
    expect((await run('env list -o yaml', routes)).out).toContain('- id: env_shop\n');
  });

  test('filters become part of the question', async () => {
    await run('env list --status failed --limit 5', routes);
    expect(server?.lines()).toEqual(['GET /environments?status=failed&limit=5']);
  });
});

describe('mistakes', () => {
  test('an unknown command names the nearest one', async () => {
    const { code, err } = await run('deplyo shop');
    expect([code, err.split('\n').slice(0, 2)]).toEqual([
      2,
      ["error: unknown command 'deplyo'", '(Did you mean deploy?)'],
    ]);
  });

  test.each([
    'deploy',
    'deploy shop extra',
    'deploy shop --nope',
    'environment',
    'ttl set shop soonish',
    'schedule set shop --deploy whenever',
  ])('%s is usage: 2', async (words) => {
    expect((await run(words)).code).toBe(2);
  });

  test('what the server says of a name passes through, with the code that belongs to it', async () => {
    const ambiguous = await run('status sh', {
      'GET /environments/sh/status': ({ response }) =>
        problem(response, 409, 'ambiguous', '"sh" is shop or shoe', 'write more of it'),
    });
    expect(ambiguous).toMatchObject({ code: 2, err: 'error: "sh" is shop or shoe\n  write more of it\n' });
  });

  test('a lock is a no: 3', async () => {
    const locked = {
      ...shop(),
      'POST /environments/env_shop/deployments': (({ response }) =>
        problem(response, 423, 'locked', 'shop is locked by ana: migration')) as Routes[string],
    };
    expect(await run('deploy shop', locked)).toMatchObject({
      code: 3,
      err: 'error: shop is locked by ana: migration\n',
    });
  });

  test('a named server that is away is named, and none is started instead', async () => {
    const gone = await startFakeServer({});
    await gone.close();
    const { code, err } = await run('status shop', {}, { env: { WINDLASS_URL: gone.url } });
    expect(code).toBe(1);
    expect(err).toContain(`cannot reach ${gone.url}`);
  });

  test('our own faults show no stack unless asked for', async () => {
    const broken: SessionDependencies = {
      ...noServer,
      findRunning: () => Promise.reject(new TypeError('x is undefined')),
    };
    for (const [debug, stack] of [
      ['0', false],
      ['1', true],
    ] as const) {
      const io = fakeIo({ env: { XDG_CONFIG_HOME: home, HOME: home, WINDLASS_DEBUG: debug } });
      const { code, err } = await finish(io, runCli(['status', 'shop'], io, broken));
      expect([code, /\n\s+at /.test(err)]).toEqual([1, stack]);
    }
  });
});

describe('the server of a command', () => {
  test('without any the embedded one is started for as long as it takes, which is said', async () => {
    const { url } = await serve({
      'GET /environments/shop': () => makeEnvironment(),
      'PATCH /environments/env_shop': () => makeEnvironment(),
    });
    const steps: string[] = [];
    const dependencies: SessionDependencies = {
      findRunning: () => Promise.resolve(null),
      start: (_config, onProgress) => {
        steps.push('start');
        onProgress({ tool: 'OpenTofu', phase: 'ready', elapsedMs: 130_000, detail: 'found', version: '1.12.6' });
        return Promise.resolve({
          url,
          token: 'made-at-start',
          temporalUrl: null,
          stop: async () => void steps.push('stop'),
        });
      },
    };
    const io = fakeIo({ env: { XDG_CONFIG_HOME: home, HOME: home, WINDLASS_DATA: join(home, 'data') } });
    const { code, out, err } = await finish(
      io,
      runCli('env update shop --revision v2 --json'.split(' '), io, dependencies),
    );
    expect([code, steps]).toEqual([0, ['start', 'stop']]);
    expect(JSON.parse(out)).toMatchObject({ name: 'shop' });
    expect(err).toContain('No server is running: starting one for this command');
    expect(err).toMatch(/OpenTofu 1\.12\.6 +found +2 min 10 s/);
    expect(server?.calls[0]?.headers.authorization).toBe('Bearer made-at-start');
    const profile = join(home, 'windlass', 'profile.json');
    expect(JSON.parse(readFileSync(profile, 'utf8'))).toEqual({ url, token: 'made-at-start', embedded: true });
    expect(statSync(profile).mode & 0o777).toBe(0o600);
  });

  test('one that runs on the same data is used, with the key it left there', async () => {
    const { url } = await serve({ 'GET /environments': () => page() });
    writeFileSync(join(home, 'administrator.token'), 'left-there\n');
    const io = fakeIo({ env: { XDG_CONFIG_HOME: home, HOME: home, WINDLASS_DATA: home } });
    await runCli(['env', 'list'], io, { ...noServer, findRunning: () => Promise.resolve({ url, temporalUrl: null }) });
    expect(server?.calls[0]?.headers.authorization).toBe('Bearer left-there');
  });

  test('flags win over the environment, the environment over the profile', async () => {
    const { url } = await serve({ 'GET /environments': () => page(), 'GET /me': () => ana });
    const io = fakeIo({ env: { XDG_CONFIG_HOME: home, WINDLASS_TOKEN: 'from-login-1' } });
    expect(await runCli(['login', url], io, noServer)).toBe(0);
    const authorization = async (words: string[], env: Record<string, string>): Promise<unknown> => {
      await runCli(words, fakeIo({ env: { XDG_CONFIG_HOME: home, ...env } }), noServer);
      return server?.calls.at(-1)?.headers.authorization;
    };
    expect(await authorization(['env', 'list'], {})).toBe('Bearer from-login-1');
    expect(await authorization(['env', 'list'], { WINDLASS_TOKEN: 'from-env' })).toBe('Bearer from-env');
    expect(await authorization(['env', 'list', '--token', 'from-flag'], { WINDLASS_TOKEN: 'from-env' })).toBe(
      'Bearer from-flag',
    );
  });

  test('a stored key is never sent to another server', async () => {
    const first = await startFakeServer({ 'GET /me': () => ana });
    const io = fakeIo({ env: { XDG_CONFIG_HOME: home, WINDLASS_TOKEN: 'for-the-first' } });
    await runCli(['login', first.url], io, noServer);
    const { url } = await serve({});
    const other = fakeIo({ env: { XDG_CONFIG_HOME: home, WINDLASS_URL: url } });
    const { code, err } = await finish(other, runCli(['env', 'list'], other, noServer));
    expect([code, server?.calls.length]).toEqual([3, 0]);
    expect(err).toContain(`there is no key for ${url}`);
    await first.close();
  });
});

test('init writes a starter that validates, and nothing over what is there', async () => {
  const directory = join(home, 'mine');
  expect((await run(`init ${directory}`)).code).toBe(0);
  expect((await run(`validate ${directory}`)).out).toContain('is valid: 2 sub-environments');
  writeFileSync(join(directory, 'windlass.workflow.yml'), 'mine');
  expect((await run(`init ${directory}`)).code).toBe(2);
  expect(readFileSync(join(directory, 'windlass.workflow.yml'), 'utf8')).toBe('mine');
});

test('validate prints every problem with its place and ends with 1', async () => {
  const file = join(home, 'shop.workflow.yml');
  writeFileSync(file, 'environments:\n  eks: { templateName: EKS }\n  app: { templateName: App, needs: [ek] }\n');
  const { code, out } = await run(`validate ${file}`);
  expect(code).toBe(1);
  expect(out).toContain(`${file}:3:`);
  expect(out).toContain('did you mean "eks"?');
  expect(out.trimEnd().endsWith('1 problem, nothing was run')).toBe(true);
});

test('validate takes the repository for the source, and refuses what leads out of it', async () => {
  const repository = join(home, 'repository');
  for (const path of ['.git', 'live', 'stacks/db']) mkdirSync(join(repository, path), { recursive: true });
  const file = join(repository, 'live', 'shop.workflow.yml');
  const stack = (path: string): void =>
    writeFileSync(file, `environments:\n  db:\n    vcs: { type: opentofu, path: ${path} }\n`);
  stack('../stacks/db');
  expect((await run(`validate ${file}`)).code).toBe(0);
  stack('../../elsewhere');
  expect((await run(`validate ${file}`)).out).toContain('"../../elsewhere" leads out of its source');
  symlinkSync(home, join(repository, 'out'));
  stack('../out');
  const { code, out } = await run(`validate ${file}`);
  expect(code).toBe(1);
  expect(out).toContain(`${file}:3:34  error  vcs of sub-environment "db": the path leads out of its source by a link`);
});

describe('deploying a directory', () => {
  const fresh = (): Routes => ({
    ...shop(),
    'GET /templates': () => page(),
    'GET /environments': () => page(),
    'POST /templates': ({ body }) => ({
      id: 'tpl_1',
      projectId: 'prj_1',
      retryOnDeploy: null,
      retryOnDestroy: null,
      description: null,
      createdAt: at(0),
      updatedAt: at(0),
      ...(body as object),
    }),
    'POST /environments': () => makeEnvironment(),
  });

  test('makes template and environment of its name, then deploys', async () => {
    await run(`init ${join(home, 'shop')}`, fresh());
    const { code } = await run(`deploy ${join(home, 'shop')}`);
    expect(code).toBe(0);
    expect(
      server?.calls.filter(({ line }) => line.startsWith('POST')).map(({ line, body }) => [line, body]),
    ).toMatchObject([
      [
        'POST /templates',
        { name: 'shop', type: 'workflow', source: { kind: 'local', directory: join(home, 'shop'), path: '.' } },
      ],
      ['POST /environments', { name: 'shop', template: 'tpl_1' }],
      ['POST /environments/env_shop/deployments', { type: 'deploy' }],
    ]);
  });

  test('templates that its file names must be there; the error has the commands that make them', async () => {
    const directory = join(home, 'shop');
    await run(`init ${directory}`, fresh());
    rmSync(join(directory, 'windlass.workflow.yml'));
    writeFileSync(
      join(directory, 'env0.workflow.yml'),
      'environments:\n  a: { name: App, templateName: App }\n  b: { name: DB, templateName: My DB }\n',
    );
    const refused = await run(`deploy ${directory} --create-templates`);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('names templates that do not exist: App, My DB');
    expect(refused.err).toContain("windlass template create 'My DB' --type opentofu --directory DIR");
    writeFileSync(join(directory, 'env0.workflow.yml'), 'environments:\n  a: { name: App, templateName: App }\n');
    expect((await run(`deploy ${directory} --create-templates`)).code).toBe(0);
    expect(server?.calls.find(({ line }) => line === 'POST /templates')?.body).toMatchObject({
      name: 'App',
      type: 'opentofu',
      source: { directory: join(directory, 'stacks', 'app') },
    });
  });

  test('nothing to deploy is said with what would be', async () => {
    const { code, err } = await run(`deploy ${home}`);
    expect(code).toBe(2);
    expect(err).toContain('windlass.workflow.yml');
    expect(existsSync(join(home, 'windlass'))).toBe(false);
  });
});

test('completion offers commands, flags, choices and what the server knows', async () => {
  const routes: Routes = {
    ...shop(),
    'GET /environments': () => page(makeEnvironment(), makeEnvironment({ name: 'shoes and more' })),
    'GET /environments/shop/graph': () => ({ nodes: [{ alias: 'eks' }, { alias: 'db' }, { odd: 1 }] }),
    'GET /projects': () => page({ name: 'default' }),
    'GET /deployments': () => page({ id: 'dep_1' }),
  };
  expect((await run('__complete status sh', routes)).out).toBe('shop\n');
  expect((await run('__complete approve shop/e')).out).toBe('shop/eks\n');
  expect((await run('__complete env list --project d')).out).toBe('default\n');
  expect((await run('__complete variable list --environment shop/d')).out).toBe('shop/db\n');
  expect((await run("__complete deployment watch ''")).out).toBe('dep_1\n');
  expect((await run('__complete help env li')).out).toBe('list\n');
  expect((await run('__complete dep')).out).toBe('deploy\ndeployment\n');
  expect((await run('__complete deploy --tric')).out).toBe('--trickle-down\n');
  expect((await run("__complete deploy shop --trickle-down ''")).out).toBe('none\nchanged-outputs\nall\n');
});

describe('help', () => {
  test('help X is X --help', async () => {
    const asked = await run('help env list');
    expect(asked).toMatchObject({ code: 0, out: (await run('environment list --help')).out });
    expect(asked.out).toMatch(/^Examples:\n {2}windlass environment list/);
    expect((await run('help')).out).toContain('Runs:');
  });

  test('help of what is no command says which is near: 2', async () => {
    expect(await run('help environment lst')).toMatchObject({
      code: 2,
      err: expect.stringContaining('there is no command "environment lst"; did you mean "list"?'),
    });
  });
});

describe('errors for machines', () => {
  const errorOf = ({ err }: Result): unknown =>
    (JSON.parse(err.trim().split('\n').at(-1) ?? '') as { error: unknown }).error;

  test('with --json an error is one line of JSON on stderr, with the exit code that it had', async () => {
    const routes: Routes = {
      'GET /environments/shop/status': ({ response }) =>
        problem(response, 423, 'locked', '"shop" is locked', 'windlass unlock shop'),
    };
    for (const words of ['status shop --json', 'status shop -o json', 'status --output=json shop']) {
      const result = await run(words, routes);
      expect(result).toMatchObject({ code: 3, out: '' });
      expect(errorOf(result)).toEqual({
        code: 'locked',
        message: '"shop" is locked',
        hint: 'windlass unlock shop',
        exitCode: 3,
      });
    }
    expect((await run('status shop', routes)).err).toMatch(/^error: "shop" is locked/);
  });

  test('wrong usage is JSON too', async () => {
    for (const words of ['deploy --json', 'status shop --jsn --json', 'environment --json', 'nonsense --json']) {
      const result = await run(words);
      expect(result).toMatchObject({ code: 2, out: '' });
      expect(result.err.trim().split('\n')).toHaveLength(1);
      expect(errorOf(result)).toMatchObject({ code: 'usage', exitCode: 2, message: expect.any(String) });
    }
  });
});

describe('without a server', () => {
  const alone = async (words: string): Promise<Result> => {
    const io = fakeIo({ env: { XDG_CONFIG_HOME: home, XDG_DATA_HOME: home, HOME: home, NO_COLOR: '1' } });
    return finish(io, runCli(words.split(' '), io, noServer));
  };

  test.each(['status shop', 'env list', 'audit list', 'logs shop', 'graph shop', 'drift show shop', 'plan show shop'])(
    '%s starts nothing and says so: 1',
    async (words) => {
      expect(await alone(words)).toMatchObject({
        code: 1,
        out: '',
        err: 'error: no server is running\n  start one: windlass up\n',
      });
    },
  );

  test('completion offers what it can at once, and starts nothing', async () => {
    expect(await alone('__complete status')).toMatchObject({ code: 0, out: 'status\n', err: '' });
    expect(await alone('__complete status sho')).toMatchObject({ code: 0, out: '', err: '' });
    const away = fakeIo({ env: { XDG_CONFIG_HOME: home, WINDLASS_URL: 'http://127.0.0.1:1', WINDLASS_TOKEN: 'k' } });
    expect(await finish(away, runCli(['__complete', 'status', 'sho'], away, noServer))).toMatchObject({ out: '' });
  });

  test('a deploy may start one', async () => {
    expect((await alone('deploy shop')).err).toContain('must not start a server');
  });
});
