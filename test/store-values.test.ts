import { randomBytes } from 'node:crypto';
import { createSecretBox } from '../src/access/index.ts';
import { variableInputSchema } from '../src/model/index.ts';
import type { Page } from '../src/model/index.ts';
import {
  deleteVariable,
  insertAuditEntry,
  listAuditEntries,
  listOutputs,
  listVariables,
  loadVariableLayers,
  outputsOfSiblings,
  readOutputs,
  replaceOutputs,
  upsertVariable,
} from '../src/store/index.ts';
import type { Db, StoredOutput } from '../src/store/index.ts';
import {
  alice,
  bob,
  databaseKinds,
  defaultProject,
  makeEnvironment,
  makeTemplate,
  openForTest,
  secrets,
  unique,
} from './support/databases.ts';
import type { OpenedForTest } from './support/databases.ts';

/** Follows `next` to the end. */
async function everyPage<T>(
  read: (cursor: string | undefined) => Promise<Page<T>>,
): Promise<{ items: T[]; pages: number }> {
  const items: T[] = [];
  let cursor: string | undefined;
  let pages = 0;
  do {
    const page = await read(cursor);
    items.push(...page.items);
    cursor = page.next ?? undefined;
    pages++;
  } while (cursor !== undefined);
  return { items, pages };
}

describe.each(databaseKinds)('variables, outputs and the audit log on %s', (kind) => {
  let opened: OpenedForTest;
  let db: Db;
  beforeAll(async () => {
    opened = await openForTest(kind);
    db = opened.db;
  }, 120_000);
  afterAll(() => opened.close());

  describe('variables', () => {
    const input = (value: Record<string, unknown>) => variableInputSchema.parse(value);

    test('are written, replaced, listed and deleted', async () => {
      const place = { scope: 'environment', scopeId: (await makeEnvironment(db)).id } as const;
      const first = await upsertVariable(
        db,
        secrets,
        place,
        input({ name: 'region', value: 'eu', regex: '^e', allowed: ['eu', 'es'], description: 'where' }),
      );
      expect(first).toMatchObject({ value: 'eu', hasValue: true, regex: '^e', allowed: ['eu', 'es'], alias: null });
      const second = await upsertVariable(
        db,
        secrets,
        place,
        input({ name: 'region', type: 'list', value: ['a', 1, null], required: true }),
      );
      expect(second).toMatchObject({ id: first.id, value: ['a', 1, null], required: true, regex: null });
      await upsertVariable(db, secrets, place, input({ name: 'region', kind: 'environment' }));
      expect((await listVariables(db, place)).items.map(({ kind: of, hasValue }) => [of, hasValue])).toEqual([
        ['tool', true],
        ['environment', false],
      ]);
      await deleteVariable(db, first.id);
      expect((await listVariables(db, place)).items).toHaveLength(1);
      await expect(deleteVariable(db, first.id)).rejects.toMatchObject({ code: 'notFound' });
    });

    test('that are sensitive are stored encrypted, never answered, and open in their own place only', async () => {
      const place = { scope: 'environment', scopeId: (await makeEnvironment(db)).id } as const;
      const made = await upsertVariable(
        db,
        secrets,
        place,
        input({ name: 'password', value: 'hunter2-secret', sensitive: true }),
      );
      expect(made).toMatchObject({ value: null, hasValue: true });
      const row = await db.selectFrom('variables').selectAll().where('id', '=', made.id).executeTakeFirstOrThrow();
      expect(JSON.stringify(row)).not.toContain('hunter2');
      expect(row.value).toMatch(/^wl1:/);
      const subject = {
        organizationId: 'o',
        projectId: 'p',
        templateId: null,
        workflowEnvironmentId: place.scopeId,
        nodeEnvironmentId: null,
        alias: null,
      };
      expect(await loadVariableLayers(db, secrets, subject)).toMatchObject([
        { level: 'environment', variables: [{ name: 'password', value: 'hunter2-secret' }] },
      ]);
      await expect(loadVariableLayers(db, createSecretBox(randomBytes(32)), subject)).rejects.toThrow(
        'encrypted with key',
      );
      await db.updateTable('variables').set({ name: 'moved' }).where('id', '=', made.id).execute();
      await expect(loadVariableLayers(db, secrets, subject)).rejects.toThrow('does not open');
    });

    test('reach a node from every level, the farthest first', async () => {
      const project = await defaultProject(db);
      const workflow = await makeTemplate(db, { type: 'workflow' });
      const shop = await makeEnvironment(db, { template: workflow });
      const template = await makeTemplate(db);
      const node = await makeEnvironment(db, { template, parent: { id: shop.id, alias: 'db' } });
      const set = async (
        scope: 'organization' | 'project' | 'template' | 'environment',
        scopeId: string,
        value: string,
        alias?: string,
      ): Promise<void> => {
        await upsertVariable(db, secrets, { scope, scopeId }, input({ name: 'where', value, alias }));
      };
      await set('environment', node.id, 'node');
      await set('environment', shop.id, 'for the alias', 'db');
      await set('environment', shop.id, 'for another alias', 'eks');
      await set('environment', shop.id, 'workflow-wide');
      await set('template', workflow.id, 'default of the alias', 'db');
      await set('template', workflow.id, 'workflow template');
      await set('template', template.id, 'template');
      await set('project', project.id, 'project');
      await set('organization', project.organizationId, 'organization');
      const layers = await loadVariableLayers(db, secrets, {
        organizationId: project.organizationId,
        projectId: project.id,
        templateId: template.id,
        workflowTemplateId: workflow.id,
        workflowEnvironmentId: shop.id,
        nodeEnvironmentId: node.id,
        alias: 'db',
      });
      expect(layers.map(({ level, variables }) => [level, variables.map(({ value }) => value).join()])).toEqual([
        ['organization', 'organization'],
        ['project', 'project'],
        ['template', 'workflow template'],
        ['template', 'template'],
        ['template', 'default of the alias'],
        ['environment', 'workflow-wide'],
        ['node', 'for the alias'],
        ['node', 'node'],
      ]);
      for (const { items } of [
        await listVariables(db, { scope: 'project' }),
        await listVariables(db, { scope: 'organization' }),
      ]) {
        for (const { id } of items) await deleteVariable(db, id);
      }
    });
  });

  describe('outputs', () => {
    const vpc: StoredOutput = { name: 'vpc', type: 'map', value: { id: 'vpc-1', zones: ['a', 'b'] }, sensitive: false };
    const token: StoredOutput = { name: 'token', type: 'text', value: 'very-secret-token', sensitive: true };
    const nothing: StoredOutput = { name: 'nothing', type: 'text', value: null, sensitive: false };

    test('say whether they changed, and come back decrypted or hidden', async () => {
      const { id } = await makeEnvironment(db);
      expect(await replaceOutputs(db, secrets, id, [vpc, token, nothing])).toBe(true);
      expect(
        await replaceOutputs(db, secrets, id, [nothing, token, { ...vpc, value: { zones: ['a', 'b'], id: 'vpc-1' } }]),
      ).toBe(false);
      expect((await readOutputs(db, secrets, [id])).get(id)).toEqual([nothing, token, vpc]);
      expect((await listOutputs(db, id)).map(({ name, value }) => [name, value])).toEqual([
        ['nothing', null],
        ['token', null],
        ['vpc', vpc.value],
      ]);
      const stored = await db.selectFrom('outputs').selectAll().where('environment_id', '=', id).execute();
      expect(JSON.stringify(stored)).not.toContain('very-secret');
      expect(await replaceOutputs(db, secrets, id, [vpc, { ...token, value: 'another-token' }, nothing])).toBe(true);
      expect(await replaceOutputs(db, secrets, id, [{ ...vpc, sensitive: true }])).toBe(true);
      expect((await readOutputs(db, secrets, [id])).get(id)).toEqual([{ ...vpc, sensitive: true }]);
      expect(await replaceOutputs(db, secrets, id, [])).toBe(true);
      expect((await readOutputs(db, secrets, [id])).size).toBe(0);
    });

    test('of nodes are read by alias', async () => {
      const parent = await makeEnvironment(db);
      const network = await makeEnvironment(db, { parent: { id: parent.id, alias: 'network' } });
      await replaceOutputs(db, secrets, network.id, [vpc, token]);
      const outputs = await outputsOfSiblings(db, secrets, parent.id, ['network', 'absent']);
      expect([...outputs.keys()]).toEqual(['network']);
      expect(outputs.get('network')?.get('token')?.value).toBe('very-secret-token');
    });
  });

  describe('the audit log', () => {
    test('is listed newest first, by filters, page by page', async () => {
      const targetId = unique('target');
      for (const [actor, action] of [
        [alice, 'a'],
        [bob, 'b'],
        [alice, 'c'],
      ] as const) {
        await insertAuditEntry(db, {
          actor,
          action,
          targetType: 'thing',
          targetId,
          projectId: null,
          before: null,
          after: { nul: 'a\0b\ud800', backslash: '\\u0000' },
        });
      }
      const { items } = await everyPage((cursor) => listAuditEntries(db, 'all', { targetId, limit: 2, cursor }));
      expect(items.map(({ action }) => action)).toEqual(['c', 'b', 'a']);
      expect(items[0]).toMatchObject({
        actor: alice,
        before: null,
        after: { nul: 'a\ufffdb\ufffd', backslash: '\\u0000' },
      });
      expect((await listAuditEntries(db, 'all', { targetId, actor: 'bob' })).items).toHaveLength(1);
      expect((await listAuditEntries(db, 'all', { targetId, until: new Date(0) })).items).toEqual([]);
    });
  });
});
