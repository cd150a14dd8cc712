import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../store/index.ts';
import { toolPath } from '../../test/support/tools.ts';
import { until } from '../../test/support/until.ts';
import { openTestDatabase, startStateServer } from './testing.ts';
import type { Client, StateServer } from './testing.ts';

const tofu = toolPath('tofu');
let db: Database;
let server: StateServer;
let scratch: string;
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'windlass-state-'));
  db = await openTestDatabase();
  server = await startStateServer(db);
}, 60_000);
afterAll(async () => {
  await server.close();
  await db.close();
  rmSync(scratch, { recursive: true, force: true });
});

const timeoutMs = 60_000;
let counter = 0;

/** A stack of one resource; with `gate` it stops in mid-apply until the file `go` is there. */
function makeStack(options: { gate?: boolean } = {}): string {
  const directory = join(scratch, `stack-${counter++}`);
  mkdirSync(directory);
  const provisioner = options.gate
    ? `provisioner "local-exec" { command = "touch started; while [ ! -e go ]; do sleep 0.05; done" }`
    : '';
  writeFileSync(
    join(directory, 'main.tf'),
    `terraform {\n  backend "http" {}\n}\nvariable "text" { default = "one" }\nresource "terraform_data" "a" {\n  input = var.text\n  ${provisioner}\n}\noutput "text" { value = terraform_data.a.output }\n`,
  );
  return directory;
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
}

function run(directory: string, client: Client, ...args: string[]): Promise<Ended> {
  const child = spawn(tofu, args, {
    cwd: directory,
    env: {
      PATH: process.env['PATH'],
      HOME: directory,
      TF_IN_AUTOMATION: '1',
      TF_INPUT: '0',
      CHECKPOINT_DISABLE: '1',
      TF_HTTP_ADDRESS: client.address,
      TF_HTTP_LOCK_ADDRESS: client.address,
      TF_HTTP_UNLOCK_ADDRESS: client.address,
      TF_HTTP_USERNAME: client.grantId,
      TF_HTTP_PASSWORD: client.token,
      TF_HTTP_RETRY_MAX: '0',
    },
  });
  let out = '';
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (out += String(chunk)));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out }));
  });
}

async function init(directory: string, client: Client): Promise<void> {
  expect(await run(directory, client, 'init', '-no-color')).toMatchObject({ code: 0 });
}

test(
  'apply, change and destroy keep every version and leave no lock',
  async () => {
    const client = await server.newClient();
    const directory = makeStack();
    await init(directory, client);
    expect(await run(directory, client, 'apply', '-auto-approve', '-no-color')).toMatchObject({ code: 0 });
    const unchanged = await run(directory, client, 'apply', '-auto-approve', '-no-color');
    expect(unchanged.out).toContain('No changes');
    expect(await run(directory, client, 'apply', '-auto-approve', '-no-color', '-var=text=two')).toMatchObject({
      code: 0,
    });
    expect((await run(directory, client, 'output', '-raw', 'text')).out).toBe('two');
    expect(await run(directory, client, 'destroy', '-auto-approve', '-no-color')).toMatchObject({ code: 0 });
    const { environmentId } = client;
    const { items } = await server.store.listVersions({ environmentId, limit: 50 });
    expect(items.at(0)).toMatchObject({ resources: 0 });
    expect(items.some(({ resources }) => resources === 1)).toBe(true);
    expect(new Set(items.map(({ lineage }) => lineage)).size).toBe(1);
    expect(items.map(({ serial }) => serial)).toEqual(items.map(({ serial }) => serial).sort((a, b) => b - a));
    expect(await server.store.lockOf(environmentId)).toBeNull();
  },
  timeoutMs,
);

test(
  'a second apply is refused while the first runs, and says who holds the lock',
  async () => {
    const first = await server.newClient();
    const second = await server.newClient({ environmentId: first.environmentId });
    const directory = makeStack({ gate: true });
    const other = makeStack();
    await init(directory, first);
    await init(other, second);
    const running = run(directory, first, 'apply', '-auto-approve', '-no-color');
    await until(() => existsSync(join(directory, 'started')));
    const refused = await run(other, second, 'apply', '-auto-approve', '-no-color');
    expect(refused.code).toBe(1);
    expect(refused.out).toContain('Error acquiring the state lock');
    expect(refused.out).toContain((await server.store.lockOf(first.environmentId))?.lockId);
    expect(refused.out).toContain(`Windlass deployment ${first.deploymentId}`);
    writeFileSync(join(directory, 'go'), '');
    expect(await running).toMatchObject({ code: 0 });
    expect((await server.store.latest(first.environmentId))?.serial).toBeGreaterThan(0);
    expect(await server.store.lockOf(first.environmentId)).toBeNull();
  },
  timeoutMs,
);

test(
  'a run that is fenced in mid-apply can spoil nothing',
  async () => {
    const dead = await server.newClient();
    const { environmentId } = dead;
    const directory = makeStack({ gate: true });
    await init(directory, dead);
    const running = run(directory, dead, 'apply', '-auto-approve', '-no-color');
    await until(() => existsSync(join(directory, 'started')));
    const lock = await server.store.lockOf(environmentId);
    await server.store.fenceRun({ deploymentId: dead.deploymentId, index: 0, compensation: false });
    expect(
      await server.store.releaseLock({ environmentId, lockId: lock?.lockId ?? '', because: 'its worker is dead' }),
    ).toBe(true);
    const heir = await server.newClient({ environmentId });
    const again = makeStack();
    await init(again, heir);
    expect(await run(again, heir, 'apply', '-auto-approve', '-no-color', '-var=text=heir')).toMatchObject({ code: 0 });
    const kept = await server.store.latest(environmentId);
    writeFileSync(join(directory, 'go'), '');
    const ended = await running;
    expect(ended.code).toBe(1);
    expect(ended.out).toMatch(/Failed to (save|persist) state|Error saving state|403|invalid auth/);
    expect(existsSync(join(directory, 'errored.tfstate'))).toBe(true);
    expect(await server.store.latest(environmentId)).toEqual(kept);
    expect(await server.store.lockOf(environmentId)).toBeNull();
  },
  timeoutMs,
);

test(
  'a plan with a grant that only reads works without a lock',
  async () => {
    const client = await server.newClient();
    const directory = makeStack();
    await init(directory, client);
    await run(directory, client, 'apply', '-auto-approve', '-no-color');
    const reader = await server.newClient({ environmentId: client.environmentId, readOnly: true });
    const plan = await run(directory, reader, 'plan', '-no-color', '-lock=false', '-detailed-exitcode');
    expect(plan).toMatchObject({ code: 0 });
    const refused = await run(directory, reader, 'apply', '-auto-approve', '-no-color', '-lock=false', '-var=text=x');
    expect(refused.code).toBe(1);
    expect(await run(directory, client, 'plan', '-no-color', '-var=text=one', '-detailed-exitcode')).toMatchObject({
      code: 0,
    });
  },
  timeoutMs,
);
