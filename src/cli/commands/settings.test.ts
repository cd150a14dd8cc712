import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '../../model/index.ts';
import { runCli } from '../program.ts';
import { fakeIo } from '../testing/fake-io.test-support.ts';
import type { FakeIoOptions } from '../testing/fake-io.test-support.ts';
import { page, startFakeServer } from '../../client/fake-server.test-support.ts';
import type { FakeHandler, FakeServer } from '../../client/fake-server.test-support.ts';
import { at, makeEnvironment } from '../testing/records.test-support.ts';

let home: string;
let server: FakeServer;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'windlass-cli-'));
});
afterEach(async () => {
  await server.close();
  rmSync(home, { recursive: true, force: true });
});

async function run(
  words: readonly string[],
  routes: Readonly<Record<string, FakeHandler>>,
  options: FakeIoOptions = {},
): Promise<{ code: number; out: string; err: string }> {
  server = await startFakeServer(routes);
  const io = fakeIo({
    ...options,
    env: {
      XDG_CONFIG_HOME: home,
      WINDLASS_URL: server.url,
      WINDLASS_TOKEN: 'k'.repeat(20),
      NO_COLOR: '1',
      ...options.env,
    },
  });
  const code = await runCli(words, io);
  return { code, out: io.out(), err: io.err() };
}
const sent = (method: string): unknown => server.calls.find(({ line }) => line.startsWith(`${method} `))?.body;

const project = (settings: object = {}): object => ({
  id: 'prj_1',
  organizationId: 'org_1',
  name: 'default',
  settings,
  createdAt: at(0),
});
const organization = (settings: object = {}): object => ({ id: 'org_1', name: 'acme', settings, createdAt: at(0) });
const shop = (changes: Partial<Environment> = {}): Environment =>
  makeEnvironment({ currentDeploymentId: null, ...changes });

describe('environment show', () => {
  const living = (): Environment => {
    const made = shop();
    return {
      ...made,
      flags: { ...made.flags, lock: { by: 'ana', at: at(0), reason: 'the fair is on' } },
      settings: {
        ...made.settings,
        requiresApproval: true,
        requiredApprovals: 2,
        forbidSelfApproval: true,
        maxParallel: 5,
        schedule: { deploy: '0 7 * * 1-5', timezone: 'Europe/Berlin', paused: false, catchUpSeconds: 600 },
        drift: { cron: '0 8 * * *', timezone: 'UTC', remediation: 'ask', maxParallel: 4, paused: true },
      },
    };
  };
  const routes = (environment: Environment) => ({
    'GET /environments/shop': () => environment,
    'GET /projects/prj_1': () => project(),
    'GET /organizations': () => page(organization({ defaultTtl: { kind: 'hours', hours: 72 } })),
  });

  test('tells every setting: what is set, what is inherited, and what is not set', async () => {
    const { out } = await run(['environment', 'show', 'shop'], routes(living()));
    const fields = new Map(out.split('\n').map((line) => [line.slice(0, 14).trim(), line.slice(14).trim()]));
    expect(fields.get('approval')).toBe('asked before every apply, unless the file says otherwise');
    expect(fields.get('approvals')).toBe('2 people, not the one who asked for the run, within 14 d');
    expect(fields.get('time to live')).toBe('3 d after a deploy, by default of the organization');
    expect(fields.get('deploys at')).toMatch(/^0 7 \* \* 1-5 Europe\/Berlin, next in /);
    expect(fields.get('destroys at')).toBe('never');
    expect(fields.get('drift checks')).toBe('0 8 * * * UTC, paused, then ask, 4 at once');
    expect(fields.get('nodes at once')).toBe('5');
    expect(fields.get('locked')).toMatch(/^by ana, .*: the fair is on$/);
  });

  test('as JSON has each of them too, null when it is not set', async () => {
    const { out } = await run(['environment', 'show', 'shop', '--json'], routes(shop()));
    expect(JSON.parse(out).settings).toEqual({
      requiresApproval: null,
      requiredApprovals: 1,
      forbidSelfApproval: false,
      approvalExpirySeconds: 1_209_600,
      coalesceDeploys: false,
      ttl: null,
      schedule: null,
      drift: null,
      maxParallel: null,
      pool: null,
    });
  });
});

describe('an end that has passed', () => {
  const ended = (locked: boolean): Environment => {
    const made = shop({ expiresAt: at(-120) });
    return locked
      ? { ...made, flags: { ...made.flags, lock: { by: 'ana', at: at(0), reason: 'the fair is on' } } }
      : made;
  };

  test.each([
    [false, 'Its destroy is due:  windlass deployment list shop'],
    [true, 'Its destroy is due as soon as the lock is taken off:  windlass unlock shop'],
  ])('is called due; locked: %s', async (locked, says) => {
    const { out } = await run(['ttl', 'show', 'shop'], { 'GET /environments/shop': () => ended(locked) });
    expect(out).toMatch(/^The life of shop ended .* ago, at .*\. Its destroy/);
    expect(out).toContain(says);
  });
});

test('schedule show tells how many firings an outage has cost', async () => {
  const made = shop();
  const schedule = { deploy: '0 7 * * 1-5', timezone: 'UTC', paused: false, catchUpSeconds: 600 };
  const { out } = await run(['schedule', 'show', 'shop'], {
    'GET /environments/shop': () => ({ ...made, settings: { ...made.settings, schedule } }),
    'GET /environments/env_shop/schedule': () => ({ schedule, next: { deploy: [], destroy: [] }, missed: 2 }),
  });
  expect(out).toMatch(/missed +2 in outages of more than 600 s/);
});

test('environment update sets how long a decision may take, and takes settings away', async () => {
  const words = 'environment update shop --approval-expiry 3d --require-approval none --max-parallel none';
  const routes = { 'GET /environments/shop': () => shop(), 'PATCH /environments/env_shop': () => shop() };
  expect((await run(words.split(' '), routes)).code).toBe(0);
  expect(sent('PATCH')).toEqual({
    settings: { approvalExpirySeconds: 259_200, requiresApproval: null, maxParallel: null },
  });
});

test('project update changes what is given and keeps the rest', async () => {
  const known = project({ maximumTtlHours: 720, maxParallel: 9 });
  const routes = { 'GET /projects/default': () => known, 'PATCH /projects/prj_1': () => known };
  const words = ['project', 'update', 'default', '--default-ttl', '24h', '--max-parallel', 'none'];
  expect((await run(words, routes)).code).toBe(0);
  expect(sent('PATCH')).toEqual({ settings: { maximumTtlHours: 720, defaultTtl: { kind: 'hours', hours: 24 } } });
});

test('organization update and show speak of the only organization when none is named', async () => {
  const routes = {
    'GET /organizations': () => page(organization()),
    'PATCH /organizations/org_1': ({ body }: { body: unknown }) =>
      organization((body as { settings: object }).settings),
  };
  const { code, out } = await run(['organization', 'update', '--maximum-ttl', '30d'], routes);
  expect(code).toBe(0);
  expect(sent('PATCH')).toEqual({ settings: { maximumTtlHours: 720 } });
  expect(out).toMatch(/maximum time to live +30 d\n/);
  await server.close();
  expect((await run(['organization', 'show'], routes)).out).toMatch(/default time to live +not set\n/);
});

describe('variable set', () => {
  const variable = {
    id: 'var_1',
    scope: 'project',
    scopeId: 'prj_1',
    alias: null,
    name: 'x',
    kind: 'tool',
    type: 'text',
  };
  const made = {
    ...variable,
    value: null,
    hasValue: false,
    sensitive: false,
    readOnly: false,
    required: true,
    regex: null,
    allowed: null,
    description: null,
    createdAt: at(0),
    updatedAt: at(0),
  };
  const routes = {
    'GET /projects/default': () => project(),
    'GET /variables': () => page(),
    'POST /variables': () => made,
  };
  const set = (...words: string[]) => ['variable', 'set', ...words, '--project', 'default'];

  test('NAME --required declares a variable that a nearer level has to fill', async () => {
    expect((await run(set('size', '--required', '--type', 'number'), routes)).code).toBe(0);
    expect(sent('POST')).toMatchObject({ name: 'size', type: 'number', required: true });
    expect(sent('POST')).not.toHaveProperty('value');
  });

  test('a name alone is refused, with what to write', async () => {
    const { code, err } = await run(set('size'), routes);
    expect(code).toBe(2);
    expect(err).toContain('expected NAME=VALUE');
  });

  test('the type that is asked for is the type of the value', async () => {
    await run(set('size=3', '--type', 'number'), routes);
    expect(sent('POST')).toMatchObject({ value: 3, type: 'number' });
  });

  test('a piped secret is kept whole but for its last line end', async () => {
    const key = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n';
    await run(set('KEY', '--sensitive'), routes, { input: `${key}\n` });
    expect(sent('POST')).toMatchObject({ value: key, sensitive: true });
  });

  test('an empty secret is refused, and declares the variable when it is required', async () => {
    expect((await run(set('KEY', '--sensitive'), routes)).err).toContain('there is no value for the secret KEY');
    await server.close();
    expect((await run(set('KEY', '--sensitive', '--required'), routes)).code).toBe(0);
    expect(sent('POST')).not.toHaveProperty('value');
  });
});

test('several piped secrets are a line each, and other numbers of lines are refused', async () => {
  const words = ['deploy', 'shop', '--secret', 'a', '--secret', 'b', '--detach'];
  const routes = { 'GET /environments/shop': () => shop() };
  const { code, err } = await run(words, routes, { input: 'one\ntwo\nthree\n' });
  expect(code).toBe(2);
  expect(err).toContain('2 secrets are read from standard input (a, b), a line for each, but there are 3 lines');
});

describe('drift show', () => {
  const result = (id: string, node: string, status: string, address: string): object => ({
    id,
    environmentId: `env_${node}`,
    alias: node,
    deploymentId: 'dep_1',
    status,
    message: null,
    resources: status === 'drifted' ? [{ address, type: 'x', action: 'update', before: null, after: null }] : [],
    at: at(0),
  });
  const nodeOf = (alias: string, drift: 'ok' | 'drifted' | 'neverRun'): Environment => {
    const made = makeEnvironment({ id: `env_${alias}`, parentId: 'env_shop', alias, name: alias, type: 'opentofu' });
    return { ...made, flags: { ...made.flags, drift } };
  };
  const routes = {
    'GET /environments/shop': () => shop(),
    'GET /environments/env_shop/children': () =>
      page(nodeOf('vpc', 'ok'), nodeOf('db', 'drifted'), nodeOf('eks', 'neverRun')),
    'GET /environments/env_shop/drift': ({ line }: { line: string }) => ({
      drift: null,
      next: [],
      results: line.includes('cursor=c')
        ? [result('5', 'db', 'drifted', 'db.new'), result('3', 'db', 'drifted', 'db.old')]
        : [
            result('7', 'vpc', 'ok', ''),
            result('6', 'vpc', 'drifted', 'vpc.old'),
            result('4', 'eks', 'drifted', 'eks.old'),
          ],
      nextCursor: line.includes('cursor=c') ? null : 'c',
    }),
  };

  test('shows what is known now, and neither older results nor those that a deploy made void', async () => {
    const { out } = await run(['drift', 'show', 'shop'], routes);
    expect(out).toContain('  db: drifted\n    changed db.new\n');
    expect(out).not.toContain('.old');
    await server.close();
    const json = JSON.parse((await run(['drift', 'show', 'shop', '--json'], routes)).out);
    expect(json.results.map(({ id }: { id: string }) => id)).toEqual(['7', '5']);
  });

  test('shows earlier results when asked', async () => {
    expect((await run(['drift', 'show', 'shop', '--history'], routes)).out).toContain('vpc.old');
  });
});
