import type { Actor } from '../src/model/index.ts';
import {
  createApproval,
  decideApproval,
  expireApproval,
  identityOf,
  listGivenBounds,
  getApproval,
  lastApproval,
  listApprovals,
  supersedeApprovals,
} from '../src/store/index.ts';
import type { Db } from '../src/store/index.ts';
import { alice, bob, databaseKinds, openForTest, runningShop, samplePlan } from './support/databases.ts';
import type { OpenedForTest } from './support/databases.ts';

describe.each(databaseKinds)('approvals on %s', (kind) => {
  let opened: OpenedForTest;
  let db: Db;
  beforeAll(async () => {
    opened = await openForTest(kind);
    db = opened.db;
  }, 120_000);
  afterAll(() => opened.close());

  async function ask(
    place: { deployment: { id: string }; shop: { id: string }; network: { id: string } },
    more: { required?: number; forbidRequester?: boolean; expiresAt?: Date; planArtifact?: string } = {},
  ): Promise<string> {
    return createApproval(db, {
      deploymentId: place.deployment.id,
      index: 0,
      compensation: false,
      environmentId: place.network.id,
      entityId: place.shop.id,
      alias: 'network',
      required: more.required ?? 1,
      forbidRequester: more.forbidRequester ?? false,
      reason: 'the file asks for it',
      planArtifact: more.planArtifact ?? null,
      plan: samplePlan,
      expiresAt: more.expiresAt ?? new Date(Date.now() + 60_000),
    });
  }

  const carol: Actor = { ...bob, id: 'key_carol', name: 'carol' };

  test('show what is to be decided, and end with the first approval when one is enough', async () => {
    const place = await runningShop(db);
    const id = await ask(place, { planArtifact: 'plan_1' });
    expect(await getApproval(db, id, 'all')).toMatchObject({
      alias: 'network',
      status: 'pending',
      counts: samplePlan.counts,
      resources: [{ address: 'x.y', type: 'x', action: 'create' }],
      decisions: [],
    });
    const decided = await decideApproval(db, { approvalId: id, actor: bob, decision: 'approve', comment: 'fine' });
    expect(decided).toMatchObject({
      complete: true,
      repeated: false,
      index: 0,
      approval: { status: 'approved', decisions: [{ by: 'bob', comment: 'fine' }] },
    });
    const node = { deploymentId: place.deployment.id, index: 0, compensation: false };
    expect(await lastApproval(db, node)).toEqual({ artifactId: 'plan_1' });
    await ask(place, { planArtifact: 'plan_2' });
    expect(await lastApproval(db, node)).toBeNull();
  });

  test('wait for as many people as are required; the same person counts once', async () => {
    const id = await ask(await runningShop(db), { required: 2 });
    const approve = { approvalId: id, decision: 'approve' } as const;
    expect(await decideApproval(db, { ...approve, actor: bob })).toMatchObject({
      complete: false,
      approval: { status: 'pending' },
    });
    expect(await decideApproval(db, { ...approve, actor: bob })).toMatchObject({ complete: false, repeated: true });
    await expect(decideApproval(db, { ...approve, decision: 'reject', actor: bob })).rejects.toMatchObject({
      code: 'conflict',
    });
    expect(await decideApproval(db, { ...approve, actor: carol })).toMatchObject({
      complete: true,
      approval: { status: 'approved' },
    });
    expect(await decideApproval(db, { ...approve, actor: carol })).toMatchObject({ complete: true, repeated: true });
    await expect(decideApproval(db, { ...approve, actor: alice })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('already approved'),
    });
  });

  test('decided by many at once are complete exactly once', async () => {
    const id = await ask(await runningShop(db), { required: 3 });
    const people = Array.from({ length: 6 }, (_, i): Actor => ({ ...bob, id: `key_${i}`, name: `person ${i}` }));
    const decided = await Promise.allSettled(
      people.map((actor) => decideApproval(db, { approvalId: id, actor, decision: 'approve' })),
    );
    const fulfilled = decided.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(fulfilled).toHaveLength(3);
    expect(fulfilled.filter(({ complete }) => complete)).toHaveLength(1);
  });

  test('may be refused to the one who asked for the run, who may still reject', async () => {
    const id = await ask(await runningShop(db), { forbidRequester: true });
    await expect(decideApproval(db, { approvalId: id, actor: alice, decision: 'approve' })).rejects.toMatchObject({
      code: 'forbidden',
    });
    expect(await decideApproval(db, { approvalId: id, actor: alice, decision: 'reject' })).toMatchObject({
      complete: true,
      approval: { status: 'rejected' },
    });
  });

  test('that are out of date, expired or unknown take no decision', async () => {
    const place = await runningShop(db);
    const decide = (approvalId: string): Promise<unknown> =>
      decideApproval(db, { approvalId, actor: bob, decision: 'approve' });
    const first = await ask(place);
    const second = await ask(place);
    await expect(decide(first)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('out of date'),
    });
    expect(await expireApproval(db, second)).toBe(true);
    expect(await expireApproval(db, second)).toBe(false);
    await expect(decide(second)).rejects.toMatchObject({ message: expect.stringContaining('expired') });
    await expect(decide(await ask(place, { expiresAt: new Date(Date.now() - 1000) }))).rejects.toMatchObject({
      message: expect.stringContaining('expired'),
    });
    await expect(decide('apr_none')).rejects.toMatchObject({ code: 'notFound' });
    await supersedeApprovals(db, { deploymentId: place.deployment.id, index: 0, compensation: false });
    expect((await listApprovals(db, 'all', { deploymentId: place.deployment.id, status: 'pending' })).items).toEqual(
      [],
    );
    expect((await listApprovals(db, 'all', { environmentId: place.shop.id })).items).toHaveLength(3);
    expect((await listApprovals(db, ['prj_none'])).items).toEqual([]);
  });

  test('may give bounds for the nodes after them', async () => {
    const place = await runningShop(db);
    expect(await listGivenBounds(db, place.deployment.id)).toEqual([]);
    const envelope = { maxDestroys: 0, maxChanges: 5 };
    await decideApproval(db, { approvalId: await ask(place), actor: bob, decision: 'approve', envelope });
    expect(await listGivenBounds(db, place.deployment.id)).toEqual([{ by: identityOf(bob), envelope }]);
  });
});
