import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { createSecretBox } from '../access/index.ts';
import { newId } from '../model/index.ts';
import type { NodeKey, NodeStatus } from '../model/index.ts';
import { createStateStore } from '../state/index.ts';
import type { Grant, StateStore } from '../state/index.ts';
import {
  closeNodes,
  endLeftGrants,
  endNode,
  ensureDefaults,
  findProject,
  listAuditEntries,
  openDatabase,
} from '../store/index.ts';
import type { Database } from '../store/index.ts';

let db: Database;
/** Two API processes on one database: each remembers what it has seen of grants. */
let state: StateStore;
let otherApi: StateStore;
beforeAll(async () => {
  const url = process.env['WINDLASS_TEST_DATABASE_URL'];
  db = await openDatabase(url ? { kind: 'postgres', url } : { kind: 'pglite', directory: null });
  await ensureDefaults(db.sql);
  const secrets = createSecretBox(randomBytes(32));
  state = createStateStore({ db, secrets });
  otherApi = createStateStore({ db, secrets });
}, 60_000);
afterAll(() => db.close());

interface Call {
  readonly key: NodeKey;
  readonly environmentId: string;
  /** Makes a grant as a call of the tool gets one, proves it at both APIs and takes the lock with it. */
  grant(lockId?: string): Promise<Grant>;
}

async function makeCall(): Promise<Call> {
  const { id: projectId } = await findProject(db.sql, 'default', 'all');
  const environmentId = newId('env');
  const deploymentId = newId('dep');
  await db.sql
    .insertInto('environments')
    .values({ id: environmentId, project_id: projectId, name: environmentId })
    .execute();
  await db.sql
    .insertInto('deployments')
    .values({
      id: deploymentId,
      environment_id: environmentId,
      number: 1,
      type: 'deploy',
      status: 'running',
      trigger: 'user',
      requested_by: '{}',
      request: '{}',
    })
    .execute();
  await db.sql
    .insertInto('node_runs')
    .values({
      deployment_id: deploymentId,
      index: 0,
      alias: 'main',
      name: 'main',
      environment_id: environmentId,
      action: 'deploy',
      status: 'running',
      started_at: new Date(),
    })
    .execute();
  const key = { deploymentId, index: 0, compensation: false };
  return {
    key,
    environmentId,
    async grant(lockId) {
      const { id, token } = await state.grant({ ...key, environmentId, readOnly: false });
      const grant = await otherApi.protocol.authenticate(environmentId, id, token);
      if (grant === null) throw new Error('the grant is not known');
      expect(await otherApi.protocol.read(grant)).toBeNull();
      if (lockId !== undefined) expect(await state.protocol.lock(grant, lock(lockId))).toBeNull();
      return grant;
    },
  };
}

const lock = (ID: string) => ({
  ID,
  Operation: 'apply',
  Info: '',
  Who: 'ada@host',
  Version: '',
  Created: '',
  Path: '',
});
const body = Buffer.from(JSON.stringify({ version: 4, serial: 1, lineage: 'l', outputs: {}, resources: [] }));

/** Neither reads, nor locks, nor writes, nor unlocks, whichever API is asked. */
async function expectEnded(grant: Grant): Promise<void> {
  for (const { protocol } of [state, otherApi]) {
    const refused = { code: 'forbidden' };
    await expect(protocol.read(grant)).rejects.toMatchObject(refused);
    await expect(protocol.lock(grant, lock('later'))).rejects.toMatchObject(refused);
    await expect(protocol.write(grant, 'later', body)).rejects.toMatchObject(refused);
    await expect(protocol.unlock(grant, 'later')).rejects.toMatchObject(refused);
  }
}

const auditOf = async (environmentId: string) =>
  (await listAuditEntries(db.sql, 'all', { targetId: environmentId })).items.map(
    ({ action, actor, before, after }) => ({
      action,
      by: actor.kind,
      lockId: (before as { lockId?: string } | null)?.lockId,
      reason: (after as { reason?: string } | null)?.reason,
    }),
  );

const endings: readonly NodeStatus[] = [
  'succeeded',
  'failed',
  'aborted',
  'cancelled',
  'skipped',
  'paused',
  'retrying',
  'waitingForApproval',
];
test.each(endings)(
  'a grant ends with its call, when that ends "%s", and frees its lock in the audit log',
  async (status) => {
    const { key, environmentId, grant } = await makeCall();
    const used = await grant('left');
    await endNode(db.sql, key, { status, grantId: used.id });
    await expectEnded(used);
    expect(await state.lockOf(environmentId)).toBeNull();
    expect(await auditOf(environmentId)).toEqual([
      { action: 'state.unlock', by: 'system', lockId: 'left', reason: 'the tool that took it has ended' },
    ]);
  },
);

test('grants of earlier calls of a node end with the call that took over, one of a later call does not', async () => {
  const { key, grant } = await makeCall();
  const crashed = await grant('left');
  const own = await grant();
  const successor = await grant();
  await endNode(db.sql, key, { status: 'failed', grantId: own.id });
  await expectEnded(crashed);
  await expectEnded(own);
  expect(await state.protocol.read(successor)).toBeNull();
  await endNode(db.sql, key, { status: 'succeeded', grantId: successor.id });
  await expectEnded(successor);
});

test('grants end with nodes that are closed because their run is over', async () => {
  const { key, environmentId, grant } = await makeCall();
  const used = await grant('left');
  expect(await closeNodes(db.sql, key.deploymentId, { status: 'aborted', message: 'terminated' })).toBe(1);
  await expectEnded(used);
  expect(await state.lockOf(environmentId)).toBeNull();
  expect(await auditOf(environmentId)).toMatchObject([{ action: 'state.unlock', lockId: 'left' }]);
});

async function grow(older: Call['key']): Promise<void> {
  await sql`UPDATE state_grants SET created_at = created_at - interval '1 hour' WHERE deployment_id = ${older.deploymentId}`.execute(
    db.sql,
  );
  await sql`UPDATE node_runs SET finished_at = finished_at - interval '1 hour' WHERE deployment_id = ${older.deploymentId}`.execute(
    db.sql,
  );
}

test('a grant whose node was ended from outside is ended by the reconciliation, one of a node at work is not', async () => {
  const over = await makeCall();
  const left = await over.grant('left');
  // as the workflow records a node whose child an operator has terminated
  await sql`UPDATE node_runs SET status = 'failed', finished_at = now() WHERE deployment_id = ${over.key.deploymentId}`.execute(
    db.sql,
  );
  const working = await makeCall();
  const used = await working.grant('held');
  const gone = await makeCall();
  const orphan = await gone.grant();
  await sql`DELETE FROM node_runs WHERE deployment_id = ${gone.key.deploymentId}`.execute(db.sql);
  await endLeftGrants(db.sql, 100);
  // its tool may be saving its state still
  expect(await state.protocol.read(left)).toBeNull();
  for (const call of [over, working, gone]) await grow(call.key);
  await endLeftGrants(db.sql, 100);
  await expectEnded(left);
  await expectEnded(orphan);
  expect(await state.lockOf(over.environmentId)).toBeNull();
  expect(await auditOf(over.environmentId)).toMatchObject([{ action: 'state.unlock', lockId: 'left' }]);
  expect(await state.protocol.read(used)).toBeNull();
  expect((await state.lockOf(working.environmentId))?.lockId).toBe('held');
});

test('the grant of a call that nobody can prove over stays until a person has said what became of it', async () => {
  const { key, environmentId, grant } = await makeCall();
  const afar = await grant('afar');
  const own = await grant();
  await endNode(db.sql, key, {
    status: 'failed',
    grantId: own.id,
    openGrantId: afar.id,
    environment: { stateUnverified: { deploymentId: key.deploymentId } },
  });
  await expectEnded(own);
  await grow(key);
  await endLeftGrants(db.sql, 100);
  // what the tool over there makes is not lost
  await state.protocol.write(afar, 'afar', body);
  expect((await state.lockOf(environmentId))?.lockId).toBe('afar');
  await sql`UPDATE environments SET state_unverified = NULL WHERE id = ${environmentId}`.execute(db.sql);
  await endLeftGrants(db.sql, 100);
  await expectEnded(afar);
  expect(await state.lockOf(environmentId)).toBeNull();
});

test("a lock that was taken in the moment in which its grant ended stands in nobody's way", async () => {
  const { key, environmentId, grant } = await makeCall();
  const ended = await grant('left');
  // the end saw no lock yet
  await sql`UPDATE state_grants SET fenced_at = now() WHERE id = ${ended.id}`.execute(db.sql);
  expect((await state.lockOf(environmentId))?.lockId).toBe('left');
  const next = await state.grant({ ...key, environmentId, readOnly: false });
  const grantOfNext = await state.protocol.authenticate(environmentId, next.id, next.token);
  if (grantOfNext === null) throw new Error('the grant is not known');
  expect(await state.protocol.lock(grantOfNext, lock('next'))).toBeNull();
  expect((await state.lockOf(environmentId))?.lockId).toBe('next');
  expect(await auditOf(environmentId)).toMatchObject([{ action: 'state.unlock', lockId: 'left' }]);
});
