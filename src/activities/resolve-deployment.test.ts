import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import pino from 'pino';
import { createSecretBox } from '../access/index.ts';
import { WindlassError } from '../model/index.ts';
import { createRunners } from '../tools/index.ts';
import { createSources } from '../sources/index.ts';
import { ensureDefaults, findProject, openDatabase } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import type { ActivityDeps } from './deps.ts';
import { resolveDeployment } from './resolve-deployment.ts';
import { afterFailedTry } from './resolve-tries.ts';

jest.setTimeout(120_000);

describe('a try to resolve that has failed', () => {
  const tries = { count: 1, failingMs: 0, patienceMs: 180_000 };
  const late = { count: 9, failingMs: 179_000, patienceMs: 180_000 };
  const error = (
    code: 'sourceUnavailable' | 'invalidDefinition' | 'unavailable',
    kind: 'provider' | 'timeout' | 'definition' | 'internal',
  ) => new WindlassError(code, 'it', { class: kind });

  test.each([
    ['a database that is away, for as long as it takes', error('unavailable', 'internal'), tries, 'leaveToTemporal'],
    ['and however long that is', error('unavailable', 'internal'), late, 'leaveToTemporal'],
    ['a turn that has not come', ApplicationFailure.create({ type: 'notYet' }), late, 'leaveToTemporal'],
    ['a host that is away, for its time', error('sourceUnavailable', 'provider'), tries, 'again'],
    ['a host that does not answer, for its time', error('sourceUnavailable', 'timeout'), tries, 'again'],
    ['a host that stays away no longer', error('sourceUnavailable', 'provider'), late, 'over'],
    ['a directory that is not there not at all', error('sourceUnavailable', 'definition'), tries, 'over'],
    ['a wrong file not at all', error('invalidDefinition', 'definition'), tries, 'over'],
    ['a full disk, a few times', error('sourceUnavailable', 'internal'), tries, 'again'],
    ['and no more', error('sourceUnavailable', 'internal'), { ...tries, count: 3 }, 'over'],
    ['what nobody foresaw, a few times', new TypeError('x is not a function'), tries, 'again'],
    ['and no more, whatever it is', 'a text', { ...tries, count: 3 }, 'over'],
  ])('is made again for %s', (_, thrown, known, kind) => {
    expect(afterFailedTry(thrown, known).kind).toBe(kind);
  });

  test('is told with its reason, and how often and long it was tried', () => {
    const told = afterFailedTry(
      new WindlassError('sourceUnavailable', 'no\0 host', { class: 'provider', hint: 'look' }),
      late,
    );
    expect(told).toMatchObject({
      kind: 'over',
      error: { class: 'provider', message: 'no\ufffd host (tried 9 times in 179 s)', hint: 'look' },
    });
  });
});

describe('a run', () => {
  let db: Database;
  const root = mkdtempSync(join(tmpdir(), 'windlass-resolve-'));

  beforeAll(async () => {
    db = await openDatabase({ kind: 'pglite', directory: null });
    await ensureDefaults(db.sql);
  });
  afterAll(async () => {
    await db?.close();
    rmSync(root, { recursive: true, force: true });
  });

  const resolve = async (id: string): Promise<unknown> => {
    const secrets = createSecretBox(new Uint8Array(32));
    const deps = {
      db,
      secrets,
      sources: createSources({ cacheDirectory: join(root, 'cache') }),
      runners: createRunners({
        tools: { find: () => Promise.reject(new Error('no tool is asked for')) },
        cacheDirectory: root,
      }),
      log: pino({ level: 'silent' }),
      sourcePatienceMs: 0,
    };
    // The rest is not asked for anything here.
    const rooms = deps as unknown as ActivityDeps;
    const caller = { workflowId: `deployment:${id}`, callId: 'test', attempt: 1, scheduledAtMs: 0, nowMs: 0 };
    return new MockActivityEnvironment()
      .run(() => resolveDeployment(rooms, { deploymentId: id }, caller))
      .catch((thrown: unknown) => thrown);
  };

  async function makeRun(id: string, environment: Record<string, string> = {}): Promise<void> {
    const { id: projectId } = await findProject(db.sql, 'default', 'all');
    const directory = mkdtempSync(join(root, 'stack-'));
    writeFileSync(join(directory, 'deploy.sh'), 'exit 0\n');
    await db.sql
      .insertInto('environments')
      .values({
        id: `env_${id}`,
        project_id: projectId,
        name: id,
        inline_template: JSON.stringify({ type: 'shell', source: { kind: 'local', directory, path: '.' }, config: {} }),
        ...environment,
      })
      .execute();
    await db.sql
      .insertInto('deployments')
      .values({
        id,
        environment_id: `env_${id}`,
        number: 1,
        type: 'deploy',
        trigger: 'user',
        requested_by: JSON.stringify({ kind: 'key', id: 'k', name: 'k', from: null }),
        request: '{}',
      })
      .execute();
  }
  const recorded = (id: string) =>
    db.sql.selectFrom('deployments').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

  test('whose records cannot be read is given up after a few tries, with a reason', async () => {
    await makeRun('damaged', { settings: JSON.stringify({ maxParallel: 'many' }) });
    const thrown = await resolve('damaged');
    expect(thrown).toMatchObject({ type: 'internal', nonRetryable: true });
    expect((await recorded('damaged')).error).toMatchObject({
      class: 'internal',
      hint: expect.stringContaining('log of the worker'),
    });
  });

  test('that was ended while it was read leaves no node behind', async () => {
    await makeRun('ended');
    await makeRun('whole');
    expect(await resolve('whole')).toMatchObject({ nodes: [{ alias: 'main' }] });
    await db.sql
      .updateTable('deployments')
      .set({ status: 'cancelled', finished_at: new Date() })
      .where('id', '=', 'ended')
      .execute();
    expect(await resolve('ended')).toMatchObject({ type: 'ended', nonRetryable: true });
    expect(await db.sql.selectFrom('node_runs').selectAll().where('deployment_id', '=', 'ended').execute()).toEqual([]);
    expect((await recorded('ended')).definition).toBeNull();
  });
});
