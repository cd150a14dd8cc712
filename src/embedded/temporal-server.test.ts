import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { toolPath } from '../../test/support/tools.ts';
import { setTimeLimit, until } from '../../test/support/until.ts';
import { WindlassError } from '../model/index.ts';
import { identify } from '../host/index.ts';
import { startTemporalServer } from './temporal-server.ts';
import type { TemporalServer } from './temporal-server.ts';

const program = toolPath('temporal');
const root = join(__dirname, '..', '..');
const running: TemporalServer[] = [];

function dataDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'windlass-temporal-'));
}

async function start(directory: string, onEvent?: (message: string) => void): Promise<TemporalServer> {
  const server = await startTemporalServer({ program, dataDirectory: directory, namespace: 'default', onEvent });
  running.push(server);
  return server;
}

async function withConnection<T>(address: string, use: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address });
  try {
    return await use(connection);
  } finally {
    await connection.close();
  }
}

async function listenOn(port: number): Promise<Server | null> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

setTimeLimit(120_000);

it('is ready when it answers: search attributes are known and closed runs are kept for long', async () => {
  const server = await start(dataDirectory());
  await withConnection(server.address, async (connection) => {
    const namespace = await connection.workflowService.describeNamespace({ namespace: 'default' });
    expect(Number(namespace.config?.workflowExecutionRetentionTtl?.seconds)).toBe(90 * 86_400);
    const attributes = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
    expect(Object.keys(attributes.customAttributes ?? {})).toEqual(
      expect.arrayContaining(['WindlassEnvironment', 'WindlassProject', 'WindlassKind', 'WindlassStatus']),
    );
  });
  expect((await fetch(server.uiUrl)).ok).toBe(true);
});

it('leaves no process behind when it is stopped, and keeps its data for the next start', async () => {
  const directory = dataDirectory();
  const first = await start(directory);
  const pid = first.pid();
  await withConnection(first.address, (connection) =>
    connection.workflowService.startWorkflowExecution({
      namespace: 'default',
      workflowId: 'kept',
      workflowType: { name: 'any' },
      taskQueue: { name: 'nobody' },
      requestId: 'r',
    }),
  );
  await first.stop();
  expect(identify(pid)).toBeNull();

  const second = await start(directory);
  const answer = await withConnection(second.address, (connection) =>
    connection.workflowService.describeWorkflowExecution({ namespace: 'default', execution: { workflowId: 'kept' } }),
  );
  expect(answer.workflowExecutionInfo?.execution?.workflowId).toBe('kept');
});

it('takes other ports when the usual ones are busy', async () => {
  // Whoever has the usual ports already serves the purpose as well.
  const [one, other] = await Promise.all([listenOn(7233), listenOn(8233)]);
  try {
    const server = await start(dataDirectory());
    expect(server.address).not.toBe('127.0.0.1:7233');
    expect(server.uiUrl).not.toBe('http://127.0.0.1:8233');
    expect((await fetch(server.uiUrl)).ok).toBe(true);
  } finally {
    one?.close();
    other?.close();
  }
});

it('comes back on the same address after kill -9', async () => {
  const events: string[] = [];
  const server = await start(dataDirectory(), (message) => events.push(message));
  const before = server.pid();
  process.kill(before, 'SIGKILL');
  await until(() => events.includes('Temporal is back'), { what: 'Temporal is back' });
  expect(server.pid()).not.toBe(before);
  await withConnection(server.address, (connection) => connection.workflowService.getSystemInfo({}));
});

it('dies with the process that started it, also on kill -9', async () => {
  const directory = dataDirectory();
  const script = `
    const { startTemporalServer } = require('./src/embedded/temporal-server.ts');
    startTemporalServer({ program: process.argv[1], dataDirectory: process.argv[2], namespace: 'default' })
      .then((server) => console.log(server.pid()));`;
  const args = ['-r', './scripts/register-typescript.cjs', '-e', script, program, directory];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  expect(identify(pid)).not.toBeNull();
  child.kill('SIGKILL');
  await until(() => identify(pid) === null, { what: 'Temporal is gone' });

  // What the killed one has left behind is in nobody's way.
  const next = await start(directory);
  expect(identify(next.pid())).not.toBeNull();
});

describe('a start that cannot work', () => {
  async function failure(directory: string, named = program): Promise<WindlassError> {
    try {
      running.push(await startTemporalServer({ program: named, dataDirectory: directory, namespace: 'default' }));
    } catch (error) {
      if (error instanceof WindlassError) return error;
      throw error;
    }
    throw new Error('it started');
  }

  it('names the database file when that is damaged', async () => {
    const directory = dataDirectory();
    mkdirSync(join(directory, 'temporal'));
    writeFileSync(join(directory, 'temporal', 'temporal.db'), 'certainly not a database');
    const error = await failure(directory);
    expect(error.message).toBe(`Temporal's database ${join(directory, 'temporal', 'temporal.db')} is damaged`);
    expect(error.hint).toContain('backup');
  });

  it('names it as well when only its inside is damaged', async () => {
    const directory = dataDirectory();
    mkdirSync(join(directory, 'temporal'));
    const garbage = Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(8_192, 0x5a)]);
    writeFileSync(join(directory, 'temporal', 'temporal.db'), garbage);
    expect((await failure(directory)).message).toContain('is damaged');
  });

  it('shows the end of the log when the program is not what it should be', async () => {
    const directory = dataDirectory();
    const error = await failure(directory, '/bin/false');
    expect(error.message).toContain('Temporal did not start: it ended while starting (exit code 1)');
    expect(error.hint).toContain(join(directory, 'temporal', 'server.log'));
  });
});
