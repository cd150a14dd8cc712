import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { confirmKeys, createSecretBox, keyIdOf, systemPrincipal } from '../src/access/index.ts';
import type { SecretBox } from '../src/access/index.ts';
import { createArtifacts } from '../src/artifacts/index.ts';
import { loadConfig } from '../src/config.ts';
import { createOperations } from '../src/operations/index.ts';
import type { Operations, TemporalGateway } from '../src/operations/index.ts';
import { startWindlass } from '../src/server.ts';
import { createStateStore } from '../src/state/index.ts';
import {
  findSealedWith,
  listEncryptionKeys,
  loadVariableLayers,
  openDatabase,
  registerWorker,
  replaceOutputs,
  secretContexts,
  stopWorker,
  upsertVariable,
} from '../src/store/index.ts';
import type { Db } from '../src/store/index.ts';
import {
  databaseKinds,
  defaultProject,
  insertNodes,
  makeDeployment,
  makeEnvironment,
  openForTest,
} from './support/databases.ts';
import type { OpenedForTest } from './support/databases.ts';
import { buildDist, freePort, startProcess, untilOver, whileStarting } from './support/processes.ts';
import { createTestClient, testEnvironment } from './support/windlass.ts';

const key = (): Buffer => randomBytes(32);

async function variableOf(db: Db, box: SecretBox, scopeId: string): Promise<unknown> {
  const [layer] = await loadVariableLayers(db, box, {
    organizationId: 'none',
    projectId: scopeId,
    templateId: null,
    workflowEnvironmentId: null,
    nodeEnvironmentId: null,
    alias: null,
  });
  return layer?.variables[0]?.value;
}

async function setVariable(db: Db, box: SecretBox, value: string): Promise<string> {
  const { id } = await defaultProject(db);
  await upsertVariable(
    db,
    box,
    { scope: 'project', scopeId: id },
    { name: 'password', kind: 'tool', type: 'text', value, sensitive: true, readOnly: false, required: false },
  );
  return id;
}

describe.each(databaseKinds)('the encryption key of a database on %s', (kind) => {
  let opened: OpenedForTest;
  let db: Db;
  beforeEach(async () => {
    opened = await openForTest(kind);
    db = opened.db;
  });
  afterEach(() => opened.close());

  const operationsWith = (secrets: SecretBox, made: Buffer | null = null): Operations =>
    createOperations({
      db: opened.database,
      secrets,
      // None of these asks Temporal for anything.
      temporal: {} as TemporalGateway,
      artifacts: createArtifacts({ db: opened.database, secrets }),
      state: createStateStore({ db: opened.database, secrets }),
      addEncryptionKey: () => made,
    });

  async function rotate(
    operations: Operations,
  ): Promise<{ sealed: number; retired: readonly string[]; steps: number }> {
    let sealed = 0;
    let cursor: string | null = null;
    for (let steps = 1; ; steps++) {
      const step = await operations.rotateEncryption({ actor: systemPrincipal, cursor });
      expect(step.state).not.toBe('waiting');
      sealed += step.sealed;
      cursor = step.cursor;
      if (step.state === 'done') return { sealed, retired: step.retired, steps };
    }
  }

  test('is recorded at the first start, and another one is refused with both ids and where each came from', async () => {
    const first = createSecretBox(key());
    await confirmKeys(db, first, '/data/encryption.key on alpha');
    await confirmKeys(db, first, '/data/encryption.key on alpha');
    const other = createSecretBox(key());
    const refused = confirmKeys(db, other, 'WINDLASS_ENCRYPTION_KEY on beta');
    await expect(refused).rejects.toMatchObject({ code: 'invalidInput' });
    for (const part of [first.keyId, '/data/encryption.key on alpha', other.keyId, 'WINDLASS_ENCRYPTION_KEY on beta'])
      await expect(refused).rejects.toThrow(part);
    expect((await listEncryptionKeys(db)).map(({ id }) => id)).toEqual([first.keyId]);
  });

  test('follows from what is sealed when the database is older than these records', async () => {
    const real = createSecretBox(key());
    const environment = await makeEnvironment(db);
    await createArtifacts({ db: opened.database, secrets: real }).put({
      deploymentId: environment.id,
      index: 0,
      kind: 'plan',
      body: Buffer.from('plan'),
    });
    const other = createSecretBox(key());
    await expect(confirmKeys(db, other, 'a file')).rejects.toThrow(
      `encrypted with key ${real.keyId} (in artifacts.body)`,
    );
    expect(await listEncryptionKeys(db)).toEqual([]);
    await confirmKeys(db, real, 'a file');
    expect(await listEncryptionKeys(db)).toMatchObject([{ id: real.keyId, status: 'current' }]);
  });

  test('that only claims the recorded id does not pass', async () => {
    const real = createSecretBox(key());
    await confirmKeys(db, real, 'a file');
    await db
      .updateTable('encryption_keys')
      .set({ check_value: real.seal('windlass', 'elsewhere') })
      .execute();
    await expect(confirmKeys(db, real, 'a file')).rejects.toMatchObject({ code: 'invalidInput' });
  });

  test('is rotated in everything that is stored, while a process with both keys goes on', async () => {
    const [old, fresh] = [key(), key()];
    const before = createSecretBox(old);
    await confirmKeys(db, before, 'a file');
    const project = await setVariable(db, before, 'hunter22');
    const shop = await makeEnvironment(db);
    const node = await makeEnvironment(db, { parent: { id: shop.id, alias: 'web' } });
    const deployment = await makeDeployment(db, shop.id);
    const snapshot = {
      variables: [{ value: before.seal('"in-snapshot"', secretContexts.snapshot(project)) }],
      resolved: [{ value: before.seal('"resolved"', secretContexts.resolved(node.id)), large: 1 }],
    };
    await insertNodes(db, deployment.id, [{ alias: 'web', environmentId: node.id, snapshot }]);
    await db
      .updateTable('environments')
      .set({ deployed_snapshot: JSON.stringify(snapshot) })
      .where('id', '=', node.id)
      .execute();
    const request = { variables: [{ value: before.seal('"asked"', secretContexts.deployment(deployment.id)) }] };
    await sql`UPDATE deployments SET request = ${JSON.stringify(request)}::jsonb || '{"number": 12345678901234567890.5}' WHERE id = ${deployment.id}`.execute(
      db,
    );
    await replaceOutputs(db, before, node.id, [{ name: 'url', type: 'text', value: 'https://x', sensitive: true }]);
    const artifact = await createArtifacts({ db: opened.database, secrets: before }).put({
      deploymentId: deployment.id,
      index: 0,
      kind: 'plan',
      body: Buffer.from('a plan'),
    });
    const state = Buffer.from(JSON.stringify({ version: 4, serial: 1, lineage: 'l', resources: [] }));
    await sql`INSERT INTO state_versions (environment_id, serial, lineage, md5, size, body)
      VALUES (${node.id}, 1, 'l', 'm', ${state.length}, ${before.sealBytes(state, node.id)})`.execute(db);

    const ring = createSecretBox([fresh, old]);
    const beside = createSecretBox([old, fresh]);
    for (const box of [ring, beside]) await confirmKeys(db, box, 'a file');
    expect(ring.keyId).toBe(before.keyId);
    const { sealed, retired } = await rotate(operationsWith(ring));
    expect(sealed).toBe(7);
    expect(retired).toEqual([before.keyId]);

    expect([...(await findSealedWith(db)).keys()]).toEqual([keyIdOf(fresh)]);
    expect(await variableOf(db, beside, project)).toBe('hunter22');
    const alone = createSecretBox(fresh);
    await confirmKeys(db, alone, 'a file');
    expect(await variableOf(db, alone, project)).toBe('hunter22');
    expect(Buffer.from((await createArtifacts({ db: opened.database, secrets: alone }).get(artifact)).body)).toEqual(
      Buffer.from('a plan'),
    );
    const text = await sql<{ request: string; snapshot: string }>`
      SELECT d.request::text AS request, n.snapshot::text AS snapshot FROM deployments d JOIN node_runs n ON n.deployment_id = d.id
      WHERE d.id = ${deployment.id}`.execute(db);
    expect(text.rows[0]?.request).toContain('12345678901234567890.5');
    const anew = JSON.parse(text.rows[0]?.snapshot ?? '') as typeof snapshot;
    expect(alone.open(anew.resolved[0]?.value ?? '', secretContexts.resolved(node.id))).toBe('"resolved"');
    expect(alone.open(anew.variables[0]?.value ?? '', secretContexts.snapshot(project))).toBe('"in-snapshot"');
    const { rows } = await sql<{
      action: string;
    }>`SELECT action FROM audit_log WHERE action LIKE 'encryption.%' ORDER BY id`.execute(db);
    expect(rows.map(({ action }) => action)).toEqual(['encryption.rotate', 'encryption.retire']);
  });

  test('is not rotated before every live worker holds the new one', async () => {
    const [old, fresh] = [key(), key()];
    const ring = createSecretBox([fresh, old]);
    await confirmKeys(db, createSecretBox(old), 'a file');
    await confirmKeys(db, ring, 'a file');
    const worker = { id: 'wrk_behind', host: 'gamma', bootId: 'b', pid: 7 };
    await registerWorker(db, { ...worker, keyIds: [keyIdOf(old)] });
    const operations = operationsWith(ring);
    expect(await operations.rotateEncryption({ actor: systemPrincipal, cursor: null })).toMatchObject({
      state: 'waiting',
      waitingFor: ['gamma (process 7)'],
    });
    expect(ring.keyId).toBe(keyIdOf(old));
    await stopWorker(db, worker.id);
    expect((await rotate(operations)).retired).toEqual([keyIdOf(old)]);
  });

  test('cannot be rotated to nothing, nor by a key that is no administrator', async () => {
    const box = createSecretBox(key());
    await confirmKeys(db, box, 'a file');
    const operations = operationsWith(box);
    await expect(operations.rotateEncryption({ actor: systemPrincipal, cursor: null })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('no new encryption key'),
    });
    const manager = { ...systemPrincipal, kind: 'key' as const, permissions: ['organization.manage'] };
    await expect(operations.rotateEncryption({ actor: manager, cursor: null })).rejects.toMatchObject({
      code: 'forbidden',
    });
  });
});

describe('the embedded server', () => {
  let dataDirectory: string;
  beforeEach(() => {
    dataDirectory = mkdtempSync(join(tmpdir(), 'windlass-keys-'));
  });
  afterEach(() => rmSync(dataDirectory, { recursive: true, force: true }));

  /** A database with many secrets, as an earlier start has left it. */
  async function prepare(old: Buffer): Promise<void> {
    const database = await openDatabase({ kind: 'pglite', directory: join(dataDirectory, 'database') });
    const box = createSecretBox(old);
    await confirmKeys(database.sql, box, 'a file');
    const project = await setVariable(database.sql, box, 'hunter22');
    const rows = Array.from({ length: 3000 }, (_, i) => {
      const place = { scope: 'project', scopeId: project, alias: '', kind: 'tool', name: `v${i}` };
      return [`var_${String(i).padStart(5, '0')}`, place.name, box.seal('"x"', secretContexts.variable(place))];
    });
    await sql`INSERT INTO variables (id, scope, scope_id, kind, name, type, value, sensitive)
      SELECT r->>0, 'project', ${project}, 'tool', r->>1, 'text', r->2, true FROM jsonb_array_elements(${JSON.stringify(rows)}::jsonb) AS r`.execute(
      database.sql,
    );
    await database.close();
    writeFileSync(join(dataDirectory, 'encryption.key'), `${old.toString('hex')}\n`, { mode: 0o600 });
    chmodSync(dataDirectory, 0o700);
  }

  test('does not start with a wrong key, and writes nothing', async () => {
    const old = key();
    await prepare(old);
    const wrong = key();
    const config = loadConfig({ ...testEnvironment(dataDirectory), WINDLASS_ENCRYPTION_KEY: wrong.toString('hex') });
    await expect(startWindlass(config)).rejects.toThrow(
      new RegExp(`${keyIdOf(old)}.*${keyIdOf(wrong)}, from WINDLASS_ENCRYPTION_KEY`),
    );
    const database = await openDatabase({ kind: 'pglite', directory: join(dataDirectory, 'database') });
    expect([...(await findSealedWith(database.sql)).keys()]).toEqual([keyIdOf(old)]);
    await database.close();
  });

  test('goes on with a rotation that a kill has cut off', async () => {
    buildDist();
    const old = key();
    await prepare(old);
    const main = join(__dirname, '..', 'dist', 'src', 'cli', 'main.js');
    const logFile = join(dataDirectory, 'out.log');
    const port = await freePort();
    const env = { ...testEnvironment(dataDirectory), WINDLASS_PORT: String(port), XDG_CONFIG_HOME: dataDirectory };
    const up = async () => {
      const server = startProcess({
        command: process.execPath,
        args: [main, 'up', '--new-administrator-key'],
        env,
        logFile,
      });
      await whileStarting(server, 'windlass up', async () =>
        readFileSync(join(dataDirectory, 'server.json'), 'utf8').includes('"url": "http'),
      );
      return {
        server,
        client: createTestClient(
          `http://127.0.0.1:${port}`,
          readFileSync(join(dataDirectory, 'administrator.token'), 'utf8').trim(),
        ),
      };
    };
    const first = await up();
    const step = await first.client.until(async () => {
      const taken = await first.client.request<{ state: string; keyId: string }>('POST', '/encryption/rotation', {
        cursor: null,
      });
      return taken.state !== 'waiting' && taken;
    });
    expect(step.state).toBe('sealing');
    await first.server.kill();
    rmSync(join(dataDirectory, 'server.json'), { force: true });

    const second = await up();
    try {
      const { items } = await second.client.request<{ items: { status: string; id: string }[] }>(
        'GET',
        '/encryption/keys',
      );
      expect(items.map(({ status, id }) => [status, id])).toEqual([
        ['current', step.keyId],
        ['previous', keyIdOf(old)],
      ]);
      const cli = startProcess({
        command: process.execPath,
        args: [main, 'key', 'rotate-encryption'],
        env,
        logFile: join(dataDirectory, 'cli.log'),
      });
      await untilOver(cli, 'the rotation');
      expect(readFileSync(join(dataDirectory, 'cli.log'), 'utf8')).toContain(`Key ${keyIdOf(old)} is no longer used.`);
    } finally {
      await second.server.stop();
    }
    const keyFile = readFileSync(join(dataDirectory, 'encryption.key'), 'utf8').trim().split('\n');
    expect(keyFile).toHaveLength(2);
    const database = await openDatabase({ kind: 'pglite', directory: join(dataDirectory, 'database') });
    const box = createSecretBox(Buffer.from(keyFile[0] ?? '', 'base64'));
    await confirmKeys(database.sql, box, 'a file');
    expect([...(await findSealedWith(database.sql)).keys()]).toEqual([step.keyId]);
    await database.close();
  });
});
