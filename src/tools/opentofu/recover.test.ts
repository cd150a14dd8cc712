import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { inspect, LeftRunningError, readIdentity } from '../../process/index.ts';
import type { CrashEvidence, StackRun } from '../index.ts';
import { makeWorkshop, startStateServer } from '../tools.fixture.ts';
import type { RunFixture, StateServer, Workshop } from '../tools.fixture.ts';
import { isOurs } from './rescue.ts';
import { setTimeLimit, until } from '../../../test/support/until.ts';

setTimeLimit(120_000);

const here: CrashEvidence = { stage: 'apply', changes: true, sameHost: true, workerDead: true };

describe.each(['opentofu', 'terraform'] as const)('%s after a crash', (type) => {
  let shop: Workshop;
  let state: StateServer;
  beforeEach(async () => {
    shop = makeWorkshop({ ladder: { interruptMs: 20_000, terminateMs: 5000 } });
    state = await startStateServer();
  });
  afterEach(async () => {
    await state.close();
    shop.clean();
  });

  /** Applies one resource, then waits in the middle of the second until the file `go` is there. */
  function slowStack(name: string, head = ''): string {
    return shop.source(name, {
      'main.tf': `${head}
resource "terraform_data" "first" {
  input = "made"
}
resource "terraform_data" "slow" {
  input = terraform_data.first.output
  provisioner "local-exec" {
    command = "echo once >>${shop.directory}/ran; while [ -d ${shop.directory} ] && [ ! -e ${shop.directory}/go ]; do sleep 0.02; done"
  }
}
output "o" { value = terraform_data.slow.output }
`,
    });
  }

  const isAtWork = () => existsSync(join(shop.directory, 'ran'));

  /** A worker in a process of its own that begins to deploy and is killed in the middle. */
  async function killedWorker(fixture: RunFixture): Promise<void> {
    const home = resolve(__dirname, '../../..');
    const code = `require(${JSON.stringify(join(home, 'scripts/register-typescript.cjs'))});
      const { makeWorkshop } = require(${JSON.stringify(join(home, 'src/tools/tools.fixture.ts'))});
      const shop = makeWorkshop({ directory: ${JSON.stringify(shop.directory)} });
      const run = shop.run(${JSON.stringify(fixture)});
      const runner = shop.runners.get(run.type);
      runner.prepare(run).then(() => runner.deploy(run));`;
    const worker = spawn(process.execPath, ['-e', code], { stdio: 'ignore', cwd: home });
    const gone = new Promise((next) => worker.once('exit', next));
    await until(isAtWork);
    worker.kill('SIGKILL');
    await gone;
  }

  function toolGroup(run: StackRun): number {
    const wrapper = readIdentity(join(run.workDirectory, 'run-apply'), 'wrapper');
    if (!wrapper) throw new Error('the tool has not written itself down');
    return -wrapper.pid;
  }

  test('a tool that lives on is adopted, and its stack was applied once', async () => {
    const fixture = { type, source: slowStack('a'), state: state.url };
    await killedWorker(fixture);
    const run = shop.run(fixture);
    const recovering = shop.runners.get(type).recover(run, here);
    await until(() => run.trace.text.includes('still runs'));
    writeFileSync(join(shop.directory, 'go'), '');
    expect(await recovering).toEqual({
      kind: 'finished',
      result: {
        outputs: [{ name: 'o', type: 'text', value: 'made', sensitive: false }],
        plan: expect.objectContaining({ counts: { add: 2, change: 0, destroy: 0 } }),
      },
    });
    expect(readFileSync(join(shop.directory, 'ran'), 'utf8')).toBe('once\n');
    expect(state.locks.size).toBe(0);
    // The next deployment does not take this end for its own.
    expect(await shop.runners.get(type).recover(shop.run({ ...fixture, id: 'deployment_2/0' }), here)).toEqual({
      kind: 'clean',
    });
  });

  test('the end of a tool that nobody saw is read from what it left', async () => {
    const fixture = { type, source: slowStack('a'), state: state.url };
    await killedWorker(fixture);
    const run = shop.run(fixture);
    writeFileSync(join(shop.directory, 'go'), '');
    await until(() => existsSync(join(run.workDirectory, 'run-apply', 'exit')));
    expect(await shop.runners.get(type).recover(run, here)).toMatchObject({
      kind: 'finished',
      result: { outputs: [{ name: 'o' }] },
    });
  });

  test('a worker that leaves lets the tool go on; the adopting one can stop it', async () => {
    const runner = shop.runners.get(type);
    const leave = new AbortController();
    const fixture = { type, source: slowStack('a'), state: state.url };
    const first = shop.run({ ...fixture, signal: leave.signal });
    await runner.prepare(first);
    const deploying = runner.deploy(first);
    await until(isAtWork);
    leave.abort('shutdown');
    await expect(deploying).rejects.toBeInstanceOf(LeftRunningError);
    const stop = new AbortController();
    const second = shop.run({ ...fixture, signal: stop.signal });
    const recovering = runner.recover(second, here);
    await until(() => second.trace.text.includes('still runs'));
    stop.abort('abort');
    await expect(recovering).rejects.toMatchObject({ changedState: true, error: { class: 'cancelled' } });
    // It was interrupted well: what it had made is in the state, and the lock is free.
    expect(state.states.get('/env')).toContain('"made"');
    expect(state.locks.size).toBe(0);
  });

  test('a tool that was killed too is known to be over, and the next deploy repairs what it left', async () => {
    const runner = shop.runners.get(type);
    const fixture = { type, source: slowStack('a'), state: state.url };
    await killedWorker(fixture);
    const run = shop.run(fixture);
    process.kill(toolGroup(run), 'SIGKILL');
    await until(async () => (await runner.recover(run, here)).kind === 'interrupted');
    // The caller takes the dead call's grant away and frees its lock.
    state.locks.clear();
    writeFileSync(join(shop.directory, 'go'), '');
    const next = shop.run(fixture);
    await runner.prepare(next);
    expect((await runner.deploy(next)).outputs).toEqual([{ name: 'o', type: 'text', value: 'made', sensitive: false }]);
  });

  test('a tool that was killed alone after its worker counts as killed, not as failed', async () => {
    const fixture = { type, source: slowStack('a'), state: state.url };
    await killedWorker(fixture);
    const run = shop.run(fixture);
    process.kill(readIdentity(join(run.workDirectory, 'run-apply'), 'tool')?.pid ?? 0, 'SIGKILL');
    expect(await shop.runners.get(type).recover(run, here)).toMatchObject({ kind: 'interrupted', lockId: null });
  });

  test('an API that is down for a moment costs patience and no state', async () => {
    const runner = shop.runners.get(type);
    const run = shop.run({ type, source: slowStack('a'), state: state.url });
    await runner.prepare(run);
    const deploying = runner.deploy(run);
    await until(isAtWork);
    state.down = true;
    writeFileSync(join(shop.directory, 'go'), '');
    await until(() => state.broken > 0);
    expect(state.states.size).toBe(0);
    state.down = false;
    expect((await deploying).outputs.length).toBe(1);
    expect(state.states.get('/env')).toContain('"made"');
    expect(state.locks.size).toBe(0);
  });

  test('a tool that is killed under a living worker leaves no lock', async () => {
    const runner = shop.runners.get(type);
    const run = shop.run({ type, source: slowStack('a'), state: state.url });
    await runner.prepare(run);
    const deploying = runner.deploy(run);
    await until(isAtWork);
    process.kill(readIdentity(join(run.workDirectory, 'run-apply'), 'tool')?.pid ?? 0, 'SIGKILL');
    await expect(deploying).rejects.toMatchObject({
      changedState: true,
      held: { reason: 'what it made last may be in no state', lockId: null },
      error: { class: 'tool', message: expect.stringContaining('apply: the tool was ended by signal 9') },
    });
    expect(state.locks.size).toBe(0);
  });

  test('the lock of a killed tool in a backend of the stack itself is freed with its id, or left to a person', async () => {
    const runner = shop.runners.get(type);
    const address = `${state.url}/own`;
    const head = `terraform {\n  backend "http" {\n    address = "${address}"\n    lock_address = "${address}"\n    unlock_address = "${address}"\n  }\n}\n`;
    const fixture = { type, source: slowStack('own', head), state: state.url };
    await killedWorker(fixture);
    const run = shop.run(fixture);
    const lockId = state.locks.get('/own')?.ID;
    expect(lockId).toBeDefined();
    const group = toolGroup(run);
    process.kill(group, 'SIGKILL');
    await until(() => {
      try {
        process.kill(group, 0);
        return false;
      } catch {
        return true;
      }
    });
    const recovery = await runner.recover(run, here);
    if (type === 'opentofu') {
      expect(recovery).toMatchObject({ kind: 'interrupted', lockId });
      expect(state.locks.size).toBe(0);
    } else {
      // Terraform's http backend does not say who holds a lock, so nothing proves whose it is.
      expect(recovery).toMatchObject({ kind: 'unknown', lockId });
      expect(state.locks.size).toBe(1);
    }
    state.locks.set('/own', {
      ID: 'foreign',
      Who: 'someone@else',
      Operation: 'x',
      Created: new Date().toISOString(),
      Info: '',
      Version: '1',
      Path: '',
    });
    expect(await runner.recover(run, here)).toMatchObject({ kind: 'unknown', lockId: 'foreign' });
    expect(state.locks.get('/own')?.ID).toBe('foreign');
  });

  test('a state that a killed tool left behind is saved by the next prepare', async () => {
    const runner = shop.runners.get(type);
    const fixture = { type, source: slowStack('a'), state: state.url };
    writeFileSync(join(shop.directory, 'go'), '');
    const run = shop.run(fixture);
    await runner.prepare(run);
    await runner.deploy(run);
    const later = { ...JSON.parse(state.states.get('/env') ?? '{}'), serial: 9 };
    writeFileSync(join(run.workDirectory, 'tree', 'errored.tfstate'), JSON.stringify(later));
    rmSync(join(run.workDirectory, 'run-apply', 'exit'));
    expect(await runner.recover(run, here)).toMatchObject({
      kind: 'interrupted',
      detail: expect.stringContaining('left a state behind'),
    });
    await runner.prepare(run);
    // Saving it counts as a change of its own.
    expect(JSON.parse(state.states.get('/env') ?? '{}').serial).toBe(10);
    expect(existsSync(join(run.workDirectory, 'tree', 'errored.tfstate'))).toBe(false);
  });

  test('an older state than the saved one is put aside, not lost', async () => {
    const runner = shop.runners.get(type);
    writeFileSync(join(shop.directory, 'go'), '');
    const run = shop.run({ type, source: slowStack('a'), state: state.url });
    await runner.prepare(run);
    await runner.deploy(run);
    const saved = { ...JSON.parse(state.states.get('/env') ?? '{}'), serial: 5 };
    state.states.set('/env', JSON.stringify(saved));
    writeFileSync(
      join(run.workDirectory, 'tree', 'errored.tfstate'),
      JSON.stringify({ ...saved, serial: 3, outputs: {} }),
    );
    await runner.prepare(run);
    expect(run.trace.text).toContain('later state');
    expect(JSON.parse(state.states.get('/env') ?? '{}').serial).toBe(5);
  });

  test('nothing that can be proven is not made up', async () => {
    const runner = shop.runners.get(type);
    const run = shop.run({ type, source: slowStack('a'), state: state.url });
    expect(await runner.recover(run, { ...here, stage: 'plan', changes: false })).toEqual({ kind: 'clean' });
    expect(await runner.recover(run, { ...here, sameHost: false, workerDead: false })).toMatchObject({
      kind: 'unknown',
    });
    // Its grant is taken away by the caller, so it cannot spoil the managed state.
    expect(await runner.recover(run, { ...here, sameHost: false, workerDead: true })).toMatchObject({
      kind: 'interrupted',
    });
    await runner.prepare(run);
    expect(await runner.recover(run, here)).toEqual({ kind: 'clean' });
  });

  test('a plan that lives on without its worker is stopped, so that it holds no lock', async () => {
    const runner = shop.runners.get(type);
    const source = shop.source('p', {
      'main.tf': 'terraform {\n  required_providers {}\n}\noutput "o" { value = 1 }\n',
    });
    const fixture = { type, source, state: state.url };
    const leave = new AbortController();
    const run = shop.run({ ...fixture, signal: leave.signal });
    await runner.prepare(run);
    // The backend does not answer the plan until it is over.
    state.hold = true;
    const planning = runner.plan(run);
    await until(() => state.requests.some((request) => request.startsWith('LOCK')));
    leave.abort('shutdown');
    await expect(planning).rejects.toBeInstanceOf(LeftRunningError);
    expect(await runner.recover(shop.run(fixture), { ...here, stage: 'plan', changes: false })).toEqual({
      kind: 'clean',
    });
    state.hold = false;
    expect((await inspect(join(run.workDirectory, 'run-plan'))).kind).not.toBe('running');
  });
});

test('a lock is ours only when it was taken here, by us, during the run', () => {
  const who = `${userInfo().username}@${hostname()}`;
  const lock = { id: 'x', who, createdAtMs: 10_000 };
  expect(isOurs(lock, 9500, 20_000)).toBe(true);
  expect(isOurs(lock, 12_000, 20_000)).toBe(false);
  expect(isOurs(lock, 1000, 8000)).toBe(false);
  expect(isOurs({ ...lock, who: `someone@${hostname()}` }, 9500, 20_000)).toBe(false);
  expect(isOurs({ ...lock, who: null }, 9500, 20_000)).toBe(false);
});
