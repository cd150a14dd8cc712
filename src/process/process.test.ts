import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import {
  adopt,
  inspect,
  launch,
  LeftRunningError,
  parseIdentity,
  readRecord,
  removeRunDirectory,
  stopRun,
} from './index.ts';
import type { LaunchOptions, OutputStream, Sandbox } from './index.ts';
import { sandboxIn } from './sandbox.fixture.ts';
import { toolIn } from './namespace.ts';
import { readIdentity, readNamespace } from './run-directory.ts';
import { processesOf } from '../../test/support/processes.ts';
import { isRunning } from '../host/index.ts';
import { setTimeLimit, until } from '../../test/support/until.ts';

setTimeLimit(60_000);

describe.each(['off', 'bubblewrap'] as const)('with isolation: %s', (way) => {
  let root: string;
  let sandbox: Sandbox;
  beforeEach(async () => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'windlass-process-')));
    sandbox = await sandboxIn(root, way);
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  interface Heard {
    readonly stdout: string[];
    readonly stderr: string[];
    /** Text that an earlier worker had handed on already. */
    old: string;
    readonly notices: string[];
  }

  function options(script: string, more: Partial<LaunchOptions> = {}): { launch: LaunchOptions; heard: Heard } {
    const heard: Heard = { stdout: [], stderr: [], old: '', notices: [] };
    return {
      heard,
      launch: {
        id: 'd/0',
        directory: join(root, 'run'),
        argv: ['/bin/sh', '-c', script],
        cwd: root,
        env: { PATH: process.env['PATH'] ?? '' },
        onOutput: (stream: OutputStream, text: string, fresh: boolean) => {
          heard[stream].push(text);
          if (!fresh) heard.old += text;
        },
        onNotice: (text: string) => heard.notices.push(text),
        signal: new AbortController().signal,
        ladder: { interruptMs: 200, terminateMs: 200 },
        scope: 'tool',
        timeoutMs: 60_000,
        sandbox,
        ...more,
      },
    };
  }

  test('output and exit code arrive whole, and lie in private files', async () => {
    const { launch: run, heard } = options('echo out; echo err >&2; printf "last without end"; exit 7');
    const end = await launch(run);
    expect(end).toMatchObject({ code: 7, stopped: null });
    expect(heard.stdout.join('')).toBe('out\nlast without end');
    expect(heard.stderr.join('')).toBe('err\n');
    expect(statSync(run.directory).mode & 0o777).toBe(0o700);
    expect(statSync(end.stdoutPath).mode & 0o777).toBe(0o600);
    expect(await inspect(run.directory)).toEqual({ kind: 'exited', code: 7 });
    expect(await inspect(run.directory, 'another/1')).toEqual({ kind: 'none' });
    await removeRunDirectory(run.directory);
    expect(await inspect(run.directory)).toEqual({ kind: 'none' });
  });

  test('characters of several bytes survive being written in pieces', async () => {
    const { launch: run, heard } = options(
      'printf "\\360\\237"; while [ -d . ] && [ ! -e go ]; do sleep 0.01; done; printf "\\232\\200 done\\303"; printf "\\274"',
    );
    const done = launch(run);
    await until(() => existsSync(join(run.directory, 'stdout')) && statSync(join(run.directory, 'stdout')).size === 2);
    writeFileSync(join(root, 'go'), '');
    await done;
    expect(heard.stdout.join('')).toBe('🚀 doneü');
  });

  test('much output is read in small pieces', async () => {
    const { launch: run, heard } = options(
      'i=0; while [ $i -lt 20000 ]; do echo "line $i of a long, long text"; i=$((i+1)); done',
    );
    await launch(run);
    const text = heard.stdout.join('');
    expect(text.split('\n').length).toBe(20_001);
    expect(Math.max(...heard.stdout.map((piece) => piece.length))).toBeLessThanOrEqual(64 * 1024);
  });

  test('a program that cannot be started says so and ends with 127', async () => {
    const { launch: run, heard } = options('', { argv: [join(root, 'not-there')] });
    expect(await launch(run)).toMatchObject({ code: 127 });
    expect(heard.stderr.join('')).toMatch(/not-there/);
    const { launch: nowhere } = options('true', { cwd: join(root, 'gone'), directory: join(root, 'other') });
    await expect(launch(nowhere)).rejects.toMatchObject({ class: 'tool', message: 'could not start /bin/sh' });
  });

  describe('stopping', () => {
    /** For tools that end on the interrupt: however slow the machine is, nothing harsher follows. */
    const patient = { interruptMs: 60_000, terminateMs: 60_000 };

    test('a tool that hears the interrupt ends by itself, and each rung is told', async () => {
      const stop = new AbortController();
      const { launch: run, heard } = options(
        'trap "echo saving; exit 3" INT; echo ready; while :; do sleep 0.02; done',
        { signal: stop.signal, ladder: patient },
      );
      const done = launch(run);
      await until(() => heard.stdout.join('').includes('ready'));
      stop.abort('abort');
      expect(await done).toMatchObject({ code: 3, stopped: 'abort' });
      expect(heard.stdout.join('')).toContain('saving');
      expect(heard.notices).toEqual([expect.stringContaining('Interrupted, because the run is aborted')]);
    });

    test('what a tool leaves behind when it ends on an interrupt is ended with it', async () => {
      const stop = new AbortController();
      const { launch: run, heard } = options(
        'trap "exit 1" INT; sleep 600 & echo $! >grandchild; echo ready; while :; do sleep 0.02; done',
        { signal: stop.signal, ladder: patient },
      );
      const done = launch(run);
      await until(() => heard.stdout.join('').includes('ready'));
      stop.abort('abort');
      expect(await done).toMatchObject({ code: 1, stopped: 'abort' });
      await until(() => processesOf(root).length === 0);
    });

    test('one that does not is terminated, then killed with everything it started', async () => {
      const stop = new AbortController();
      const { launch: run, heard } = options(
        'trap "" INT TERM; sh -c \'trap "" INT TERM; echo $$ >grandchild; while :; do sleep 0.02; done\' & echo ready; while :; do sleep 0.02; done',
        { signal: stop.signal },
      );
      const done = launch(run);
      await until(() => heard.stdout.join('').includes('ready') && existsSync(join(root, 'grandchild')));
      stop.abort('cancel');
      expect(await done).toMatchObject({ code: null, stopped: 'cancel' });
      expect(heard.notices.map((text) => text.split(',')[0])).toEqual(['Interrupted', 'Terminated', 'Killed']);
      await until(() => processesOf(root).length === 0);
      expect(await inspect(run.directory)).toEqual({ kind: 'vanished' });
    });

    test('what a script runs hears the interrupt too when the group is meant', async () => {
      const stop = new AbortController();
      const { launch: run, heard } = options('echo ready; sleep 600', {
        signal: stop.signal,
        scope: 'group',
        ladder: patient,
      });
      const done = launch(run);
      await until(() => heard.stdout.join('').includes('ready'));
      stop.abort('abort');
      expect(await done).toMatchObject({ code: 130, stopped: 'abort' });
      expect(heard.notices.length).toBe(1);
    });

    test('a tool whose time is up is stopped with that reason', async () => {
      const { launch: run } = options('sleep 600', { timeoutMs: 50 });
      expect(await launch(run)).toMatchObject({ stopped: 'timeout' });
    });

    test('nothing is started once the run is stopped', async () => {
      const { launch: run } = options('touch started', { signal: AbortSignal.abort('abort') });
      expect(await launch(run)).toMatchObject({ code: null, stopped: 'abort' });
      expect(existsSync(join(root, 'started'))).toBe(false);
      const { launch: leaving } = options('touch started', { signal: AbortSignal.abort('shutdown') });
      await expect(launch(leaving)).rejects.toBeInstanceOf(LeftRunningError);
      expect(existsSync(join(root, 'started'))).toBe(false);
    });
  });

  describe('outliving the worker', () => {
    const waiting = 'echo one; while [ -d . ] && [ ! -e go ]; do sleep 0.01; done; echo two; exit 5';

    test('a worker that leaves lets the tool go on, and another one adopts it', async () => {
      const stop = new AbortController();
      const { launch: run, heard } = options(waiting, { signal: stop.signal });
      const left = launch(run);
      await until(() => heard.stdout.join('') === 'one\n');
      stop.abort('shutdown');
      await expect(left).rejects.toBeInstanceOf(LeftRunningError);
      expect(await inspect(run.directory, 'd/0')).toMatchObject({ kind: 'running' });
      const { launch: second, heard: later } = options('');
      const done = adopt(second);
      writeFileSync(join(root, 'go'), '');
      expect(await done).toMatchObject({ code: 5, stopped: null });
      expect(later.stdout.join('')).toBe('one\ntwo\n');
      expect(later.old).toBe('one\n');
    });

    /** Process id of the tool itself. */
    function toolOf(directory: string): number {
      const namespace = readNamespace(directory);
      const pid = namespace === null ? readIdentity(directory, 'tool')?.pid : toolIn(namespace);
      if (pid === undefined || pid === null) throw new Error('there is no tool');
      return pid;
    }

    /** A worker of its own that starts a tool and is then killed without a chance to clean up. */
    async function killedWorker(script: string, ready: () => boolean): Promise<string> {
      const directory = join(root, 'run');
      const home = resolve(__dirname, '../..');
      const code = `require(${JSON.stringify(join(home, 'scripts/register-typescript.cjs'))});
      const { launch } = require(${JSON.stringify(join(__dirname, 'index.ts'))});
      const { sandboxIn } = require(${JSON.stringify(join(__dirname, 'sandbox.fixture.ts'))});
      sandboxIn(${JSON.stringify(root)}, ${JSON.stringify(way)}).then((sandbox) => launch({ id: 'd/0', directory: ${JSON.stringify(directory)}, argv: ['/bin/sh', '-c', ${JSON.stringify(script)}],
        cwd: ${JSON.stringify(root)}, env: { PATH: process.env.PATH }, onOutput() {}, onNotice() {}, sandbox,
        signal: new AbortController().signal, ladder: { interruptMs: 1, terminateMs: 1 }, scope: 'tool', timeoutMs: 60000 }));`;
      const worker = spawn(process.execPath, ['-e', code], { stdio: 'ignore', cwd: home });
      const gone = new Promise((next) => worker.once('exit', next));
      await until(ready);
      worker.kill('SIGKILL');
      await gone;
      return directory;
    }

    test('a tool goes on after SIGKILL of its worker and its end is known', async () => {
      const directory = await killedWorker(`touch started; ${waiting}`, () => existsSync(join(root, 'started')));
      expect(await inspect(directory)).toMatchObject({ kind: 'running' });
      writeFileSync(join(root, 'go'), '');
      await until(async () => (await inspect(directory)).kind === 'exited');
      expect(await inspect(directory, 'd/0')).toEqual({ kind: 'exited', code: 5 });
      const { launch: run, heard } = options('');
      expect(await adopt(run)).toMatchObject({ code: 5 });
      expect(heard.stdout.join('')).toBe('one\ntwo\n');
      expect(heard.old).toBe('');
    });

    test('an adopted tool can be stopped', async () => {
      const directory = await killedWorker('trap "exit 9" INT; touch started; while :; do sleep 0.02; done', () =>
        existsSync(join(root, 'started')),
      );
      const stop = new AbortController();
      const { launch: run } = options('', { signal: stop.signal, directory });
      const done = adopt(run);
      stop.abort('abort');
      expect(await done).toMatchObject({ code: 9, stopped: 'abort' });
      await stopRun({ directory, ladder: run.ladder, onNotice: run.onNotice });
    });

    test('a tool that was killed alone is known as killed; one killed with its wrapper has vanished', async () => {
      const directory = await killedWorker('touch started; exec sleep 600', () => existsSync(join(root, 'started')));
      process.kill(toolOf(directory), 'SIGKILL');
      await until(async () => (await inspect(directory)).kind !== 'running');
      expect(await inspect(directory)).toEqual({ kind: 'exited', code: 137 });

      await removeRunDirectory(directory);
      rmSync(join(root, 'started'));
      await killedWorker('touch started; exec sleep 600', () => existsSync(join(root, 'started')));
      const wrapper = readIdentity(directory, 'wrapper');
      const tool = toolOf(directory);
      process.kill(-(wrapper?.pid ?? 0), 'SIGKILL');
      // Inside a sandbox it is in no group of the wrapper's, and lives on.
      if (way === 'bubblewrap') process.kill(tool, 'SIGKILL');
      await until(async () => (await inspect(directory)).kind !== 'running');
      expect(await inspect(directory)).toEqual({ kind: 'vanished' });
    });

    test('when what holds the tool is killed alone, the tool is ended before its end is written down', async () => {
      const directory = await killedWorker('touch started; exec sleep 600', () => existsSync(join(root, 'started')));
      const holder = readIdentity(directory, 'tool');
      process.kill(holder?.pid ?? 0, 'SIGKILL');
      await until(async () => (await inspect(directory)).kind !== 'running');
      expect(await inspect(directory)).toEqual({ kind: 'exited', code: 137 });
      await until(() => processesOf(root).length === 0);
    });

    test('a tool lives on without its wrapper as long as it runs', async () => {
      const directory = await killedWorker('touch started; exec sleep 600', () => existsSync(join(root, 'started')));
      const wrapper = readIdentity(directory, 'wrapper');
      process.kill(wrapper?.pid ?? 0, 'SIGKILL');
      await until(() => wrapper !== null && !isRunning(wrapper));
      expect(await inspect(directory)).toMatchObject({ kind: 'running' });
      await stopRun({ directory, ladder: { interruptMs: 5000, terminateMs: 5000 }, onNotice: () => undefined });
      expect(await inspect(directory)).toEqual({ kind: 'vanished' });
    });

    test('another process of the same number is not taken for the tool', async () => {
      const { launch: run } = options('exit 0');
      await launch(run);
      rmSync(join(run.directory, 'exit'));
      // This very process runs, but has started at another time.
      for (const file of ['wrapper', 'tool'])
        writeFileSync(join(run.directory, file), `${process.pid} (sh) S${' 1'.repeat(49)}\n`);
      expect(await inspect(run.directory)).toEqual({ kind: 'vanished' });
    });

    test('what ran before a restart of the machine has vanished; what ran elsewhere cannot be known', async () => {
      const { launch: run } = options('exit 0');
      await launch(run);
      rmSync(join(run.directory, 'exit'));
      const path = join(run.directory, 'record.json');
      const record = readRecord(run.directory);
      writeFileSync(path, JSON.stringify({ ...record, boot: 'an earlier one' }));
      expect(await inspect(run.directory)).toEqual({ kind: 'vanished' });
      writeFileSync(path, JSON.stringify({ ...record, boot: 'an earlier one', host: 'another' }));
      expect(await inspect(run.directory)).toEqual({ kind: 'elsewhere', host: 'another' });
      writeFileSync(path, JSON.stringify({ ...record, namespace: 'another container' }));
      expect(await inspect(run.directory)).toMatchObject({ kind: 'elsewhere' });
    });
  });
});

test('identities are read from /proc and ps, and only when written whole', () => {
  expect(parseIdentity(`12 (a b) c) S${' 7'.repeat(18)} 4711 9\n`)).toEqual({ pid: 12, started: '4711' });
  expect(parseIdentity('  321 Mon Jan  5 10:11:12 2026\n')).toEqual({ pid: 321, started: 'Mon Jan  5 10:11:12 2026' });
  expect(parseIdentity('12 (sh) S 1 2')).toBeNull();
});
