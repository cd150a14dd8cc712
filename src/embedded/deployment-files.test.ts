import { execFileSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { toolPath } from '../../test/support/tools.ts';
import { loadConfig } from '../config.ts';
import { searchAttributes } from '../model/index.ts';
import { startGuarded } from './guarded-process.ts';
import { choosePort } from './ports.ts';
import { dynamicConfig } from './temporal-settings.ts';

const root = join(__dirname, '..', '..');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');

/** As much of the compose format as the file uses; a key that is misspelt is refused. */
const serviceSchema = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.string(), args: z.record(z.string(), z.string()) }).optional(),
  user: z.string().optional(),
  networks: z.array(z.enum(['records', 'outside'])),
  read_only: z.boolean(),
  tmpfs: z.array(z.string()),
  mem_limit: z.string(),
  pids_limit: z.number(),
  restart: z.enum(['unless-stopped', 'on-failure']),
  init: z.boolean().optional(),
  command: z.array(z.string()).optional(),
  entrypoint: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()),
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/)).optional(),
  volumes: z.array(z.string().regex(/^[^:]+:[^:]+(:ro)?$/)).optional(),
  depends_on: z
    .record(
      z.string(),
      z.strictObject({ condition: z.enum(['service_healthy', 'service_started', 'service_completed_successfully']) }),
    )
    .optional(),
  healthcheck: z
    .union([
      z.strictObject({ disable: z.literal(true) }),
      z.strictObject({ test: z.array(z.string()), interval: z.string(), timeout: z.string(), retries: z.number() }),
    ])
    .optional(),
  stop_grace_period: z
    .string()
    .regex(/^\d+s$/)
    .optional(),
  cap_drop: z.array(z.string()),
  security_opt: z.array(z.string()),
});
const composeSchema = z.strictObject({
  'x-contained': z.unknown(),
  'x-windlass': z.unknown(),
  services: z.record(z.string(), serviceSchema),
  networks: z.record(z.string(), z.strictObject({ internal: z.boolean() }).nullable()),
  volumes: z.record(z.string(), z.null()),
});

const compose = composeSchema.parse(parse(read('docker-compose.yml'), { merge: true }));

function service(name: string): z.infer<typeof serviceSchema> {
  const found = compose.services[name];
  if (!found) throw new Error(`there is no service ${name}`);
  return found;
}

/** What compose makes of `${NAME:-default}` and `${NAME:?message}` with these values. */
function interpolate(text: string, values: Record<string, string>): string {
  return text.replace(
    /\$\{(\w+)(?::([-?])([^}]*))?\}/g,
    (_whole, name: string, kind: string | undefined, rest: string) => {
      const value = values[name];
      if (value) return value;
      if (kind === '-') return rest;
      throw new Error(`${name}: ${rest}`);
    },
  );
}

function environmentOf(name: string, values: Record<string, string>): Record<string, string> {
  const entries = Object.entries(service(name).environment);
  return Object.fromEntries(entries.map(([key, value]) => [key, interpolate(value, values)]));
}

/** The .env that `scripts/make-env.mjs` writes. */
function madeEnvironment(): { file: string; values: Record<string, string> } {
  const file = join(mkdtempSync(join(tmpdir(), 'windlass-env-')), '.env');
  execFileSync(process.execPath, [join(root, 'scripts', 'make-env.mjs'), file]);
  const lines = readFileSync(file, 'utf8').split('\n');
  const pairs = lines.filter((line) => /^\w+=/.test(line)).map((line) => line.split(/=(.*)/s).slice(0, 2));
  return { file, values: Object.fromEntries(pairs) as Record<string, string> };
}

describe('docker-compose.yml', () => {
  it('waits only for services that are there, and for health only where it is checked', () => {
    for (const [name, { depends_on: needs = {} }] of Object.entries(compose.services)) {
      for (const [needed, { condition }] of Object.entries(needs)) {
        const other = service(needed);
        const checked =
          other.healthcheck !== undefined || (other.build !== undefined && read('Dockerfile').includes('HEALTHCHECK'));
        expect({ name, needed, ok: condition !== 'service_healthy' || checked }).toEqual({ name, needed, ok: true });
      }
    }
  });

  it.each(['api', 'worker'] as const)('configures %s completely with a .env made by the script', (name) => {
    const { values } = madeEnvironment();
    const mode = name === 'api' ? 'server' : 'worker';
    expect(service(name).command).toEqual([mode]);
    const config = loadConfig(environmentOf(name, values), { mode });
    expect(config).toMatchObject({
      database: { kind: 'postgres' },
      temporal: { address: 'temporal:7233' },
      stateUrl: 'http://api:8080',
      encryptionKey: { kind: 'value' },
    });
  });

  it('says what to do when there is no .env', () => {
    expect(() => environmentOf('api', {})).toThrow('run node scripts/make-env.mjs first');
  });

  it('gives a leaving worker more time than the worker gives its tools', () => {
    const { values } = madeEnvironment();
    const { shutdownGraceSeconds } = loadConfig(environmentOf('worker', values), { mode: 'worker' });
    expect(Number.parseInt(service('worker').stop_grace_period ?? '0', 10)).toBeGreaterThan(shutdownGraceSeconds + 30);
  });

  it('contains every service: no capability, no new privileges, limits, and a root that is not written to', () => {
    const { values } = madeEnvironment();
    const writing = Object.entries(compose.services).filter(([, { read_only }]) => !read_only);
    // Both write their configuration beside its template when they start.
    expect(writing.map(([name]) => name)).toEqual(['temporal', 'temporal-ui']);
    for (const [name, it] of Object.entries(compose.services)) {
      expect([name, it.cap_drop]).toEqual([name, ['ALL']]);
      expect(it.security_opt).toContain('no-new-privileges:true');
      expect(it.pids_limit).toBeGreaterThan(0);
      expect(interpolate(it.mem_limit, values)).toMatch(/^\d+[mg]$/);
      if (name !== 'worker') expect(it.security_opt).toEqual(['no-new-privileges:true']);
    }
  });

  it('takes images by a tag that can be replaced by a digest', () => {
    const digest = `example/image@sha256:${'0'.repeat(64)}`;
    const names = Object.values(compose.services).flatMap(({ image, build }) =>
      build ? Object.values(build.args) : image,
    );
    for (const image of names) {
      const variable = /^\$\{(\w+_IMAGE):-[a-z0-9./-]+:[\w.-]+\}$/.exec(image)?.[1] ?? `none in ${image}`;
      expect(interpolate(image, { [variable]: digest })).toBe(digest);
      expect(read('docker-compose.env.example')).toContain(`#${variable}=`);
    }
  });

  it('keeps the database and Temporal on a network that reaches nothing outside', () => {
    expect(compose.networks['records']).toEqual({ internal: true });
    for (const name of ['postgres', 'temporal', 'temporal-setup']) expect(service(name).networks).toEqual(['records']);
  });

  it('publishes nothing beyond this machine, and can run several workers', () => {
    expect(service('worker').ports).toBeUndefined();
    expect(service('worker').volumes).toBeUndefined();
    expect(service('postgres').ports).toBeUndefined();
  });
});

describe('the .env file', () => {
  it('is for its owner alone and never replaced', () => {
    const { file, values } = madeEnvironment();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(() =>
      execFileSync(process.execPath, [join(root, 'scripts', 'make-env.mjs'), file], { stdio: 'pipe' }),
    ).toThrow();
    expect(readFileSync(file, 'utf8')).toContain(values['WINDLASS_ENCRYPTION_KEY']);
  });

  it('has every line that the example explains, and is ignored by git and by the image', () => {
    const { values } = madeEnvironment();
    const example = read('docker-compose.env.example').match(/^\w+(?==)/gm);
    expect(Object.keys(values)).toEqual(example);
    expect(read('.gitignore').split('\n')).toContain('.env');
    expect(read('.dockerignore').split('\n')).toContain('*');
  });
});

describe('Temporal settings', () => {
  it('are the same for a cluster as for the embedded server', () => {
    const file = z.record(z.string(), z.tuple([z.strictObject({ value: z.number() })]));
    const settings = file.parse(parse(read('temporal/dynamic-config.yaml')));
    expect(Object.fromEntries(Object.entries(settings).map(([key, [{ value }]]) => [key, value]))).toEqual(
      dynamicConfig,
    );
  });

  it('search-attributes.sh registers what the workflows use, and can be run again', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'windlass-attributes-'));
    const port = await choosePort('127.0.0.1', []);
    const server = await startGuarded({
      command: toolPath('temporal'),
      args: ['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--port', String(port)],
      environment: process.env,
      logDescriptor: openSync(join(directory, 'log'), 'a'),
    });
    try {
      const environment = {
        ...process.env,
        WINDLASS_TEMPORAL: toolPath('temporal'),
        TEMPORAL_ADDRESS: `127.0.0.1:${port}`,
      };
      const run = (): string =>
        execFileSync(join(root, 'temporal/search-attributes.sh'), { env: environment, encoding: 'utf8' });
      const first = run();
      for (const name of Object.values(searchAttributes)) expect(first).toContain(`${name} created`);
      const second = run();
      for (const name of Object.values(searchAttributes)) expect(second).toContain(`${name} is there`);
    } finally {
      await server.stop();
    }
  }, 120_000);
});
