import { randomBytes } from 'node:crypto';
import { createSecretBox } from '../src/access/index.ts';
import { templateInputSchema, variableInputSchema } from '../src/model/index.ts';
import type { Page } from '../src/model/index.ts';
import {
  archiveEnvironment,
  createEnvironment,
  createOrganization,
  createProject,
  createTemplate,
  deleteProject,
  deleteTemplate,
  deleteVariable,
  ensureDefaults,
  findEnvironment,
  findOrganization,
  findProject,
  findTemplate,
  getEnvironment,
  insertAuditEntry,
  listAuditEntries,
  listEnvironments,
  listOrganizations,
  listOutputs,
  listProjects,
  listSubEnvironments,
  listTemplates,
  listVariables,
  loadVariableLayers,
  outputsOfSiblings,
  readOutputs,
  replaceOutputs,
  scopeTtlSettings,
  setEnvironmentDrift,
  setEnvironmentExpiry,
  setEnvironmentLock,
  updateEnvironment,
  updateProjectSettings,
  updateTemplate,
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

const local = { kind: 'local', directory: '/srv/code', path: '.' } as const;

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

describe.each(databaseKinds)('the catalogue on %s', (kind) => {
  let opened: OpenedForTest;
  let db: Db;
  beforeAll(async () => {
    opened = await openForTest(kind);
    db = opened.db;
  }, 120_000);
  afterAll(() => opened.close());

  describe('organizations and projects', () => {
    test('begin with one of each, called default, and stay so', async () => {
      await ensureDefaults(db);
      expect((await listOrganizations(db)).map(({ name }) => name)).toEqual(['default']);
      expect(await defaultProject(db)).toMatchObject({ name: 'default', settings: {} });
      expect(await findOrganization(db)).toMatchObject({ name: 'default' });
    });

    test('are found by name, id and the beginning of an id', async () => {
      const project = await createProject(db, {
        organizationId: (await findOrganization(db, 'default')).id,
        name: unique('payments'),
      });
      expect(await findProject(db, project.name)).toEqual(project);
      expect(await findProject(db, project.id)).toEqual(project);
      expect(await findProject(db, project.id.slice(0, -1))).toEqual(project);
    });

    test('say what there is when a name is missing, and which are meant when it is ambiguous', async () => {
      await expect(findProject(db, 'defualt')).rejects.toMatchObject({
        code: 'notFound',
        hint: expect.stringContaining('"default"'),
      });
      const other = await createOrganization(db, { name: unique('other') });
      const twin = await createProject(db, { organizationId: other.id, name: 'default' });
      await expect(findProject(db, 'default')).rejects.toMatchObject({
        code: 'ambiguous',
        message: expect.stringContaining(twin.id),
      });
      expect(await findProject(db, 'default', { organizationId: other.id })).toEqual(twin);
      await deleteProject(db, twin.id);
    });

    test('do not take the same name twice', async () => {
      const { id } = await findOrganization(db, 'default');
      await expect(createProject(db, { organizationId: id, name: 'default' })).rejects.toMatchObject({
        code: 'conflict',
      });
      await expect(createOrganization(db, { name: 'default' })).rejects.toMatchObject({ code: 'conflict' });
    });

    test("pass the organization's limits on to projects that have none of their own", async () => {
      const organization = await createOrganization(db, {
        name: unique('limits'),
        settings: { maximumTtlHours: 48, defaultTtl: { kind: 'hours', hours: 8 } },
      });
      const project = await createProject(db, { organizationId: organization.id, name: unique('inherits') });
      expect(await scopeTtlSettings(db, project.id)).toEqual({
        maximumTtlHours: 48,
        defaultTtl: { kind: 'hours', hours: 8 },
      });
      await updateProjectSettings(db, project.id, { maximumTtlHours: 24 });
      expect((await scopeTtlSettings(db, project.id)).maximumTtlHours).toBe(24);
    });

    test('are not deleted with something in them', async () => {
      const project = await createProject(db, {
        organizationId: (await findOrganization(db, 'default')).id,
        name: unique('used'),
      });
      const template = await makeTemplate(db, { projectId: project.id });
      await expect(deleteProject(db, project.id)).rejects.toMatchObject({ code: 'conflict' });
      await deleteTemplate(db, template.id);
      await deleteProject(db, project.id);
      await expect(findProject(db, project.id)).rejects.toMatchObject({ code: 'notFound' });
    });
  });

  describe('templates', () => {
    test('come back as they were written', async () => {
      const project = await defaultProject(db);
      const input = templateInputSchema.parse({
        name: unique('full'),
        type: 'opentofu',
        source: { kind: 'git', repository: 'https://example.com/x.git', revision: 'main', path: 'a' },
        config: { version: '1.9', extra: { a: [1, { b: null }] } },
        retryOnDeploy: { maximum: 3, intervalSeconds: 5, backoff: 2, onlyWhenMatches: 'throttl' },
        description: 'what it is for',
      });
      const template = await createTemplate(db, project.id, input);
      expect(template).toMatchObject({ ...input, retryOnDestroy: null });
      const changed = await updateTemplate(db, template.id, { ...input, type: 'shell', retryOnDeploy: undefined });
      expect(changed).toMatchObject({ type: 'shell', retryOnDeploy: null });
      expect(await findTemplate(db, input.name, { projectId: project.id })).toEqual(changed);
    });

    test('are found by name in their project only, and a missing one lists the nearest', async () => {
      const template = await makeTemplate(db, { name: unique('network') });
      const elsewhere = await createProject(db, {
        organizationId: (await findOrganization(db, 'default')).id,
        name: unique('elsewhere'),
      });
      await expect(findTemplate(db, template.name, { projectId: elsewhere.id })).rejects.toMatchObject({
        code: 'notFound',
      });
      await expect(
        findTemplate(db, template.name.slice(0, -1), { projectId: template.projectId }),
      ).rejects.toMatchObject({
        hint: expect.stringContaining(template.name),
      });
      await makeTemplate(db, { name: template.name, projectId: elsewhere.id });
      await expect(findTemplate(db, template.name)).rejects.toMatchObject({
        code: 'ambiguous',
        message: expect.stringContaining(elsewhere.name),
      });
    });

    test('that environments use are not deleted, and the error names them', async () => {
      const template = await makeTemplate(db);
      const environment = await makeEnvironment(db, { template });
      await expect(deleteTemplate(db, template.id)).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining(`"${environment.name}"`),
      });
      await archiveEnvironment(db, environment.id);
      await deleteTemplate(db, template.id);
      expect(await getEnvironment(db, environment.id)).toMatchObject({
        type: 'opentofu',
        templateId: null,
        flags: { archived: true },
      });
    });

    test('are listed page by page, filtered by type and part of the name', async () => {
      const mark = unique('paged');
      for (const name of ['c', 'a', 'e', 'b', 'd'])
        await makeTemplate(db, { name: `${mark}-${name}`, type: name === 'e' ? 'shell' : 'opentofu' });
      const { items, pages } = await everyPage((cursor) =>
        listTemplates(db, { name: mark.toUpperCase(), limit: 2, cursor }),
      );
      expect(items.map(({ name }) => name.slice(-1))).toEqual(['a', 'b', 'c', 'd', 'e']);
      expect(pages).toBe(3);
      expect((await listTemplates(db, { name: mark, type: 'shell' })).items).toHaveLength(1);
    });
  });

  describe('lists', () => {
    test.each([
      'nonsense',
      'bnVsbA',
      Buffer.from('["a"]').toString('base64url'),
      Buffer.from('["a\\u0000","b"]').toString('base64url'),
    ])('refuse the cursor %s', async (cursor) => {
      await expect(listProjects(db, { cursor })).rejects.toMatchObject({
        code: 'invalidInput',
        message: expect.stringContaining('cursor'),
      });
    });

    test.each([0, 201, 1.5, Number.NaN])('refuse the limit %p', async (limit) => {
      await expect(listProjects(db, { limit })).rejects.toMatchObject({ code: 'invalidInput' });
    });
  });

  describe('environments', () => {
    test('begin as never deployed, with empty flags', async () => {
      const environment = await makeEnvironment(db);
      expect(environment).toMatchObject({
        status: 'neverDeployed',
        type: 'opentofu',
        currentDeploymentId: null,
        lastDeploymentId: null,
        expiresAt: null,
        flags: {
          waitingForApproval: 0,
          queued: 0,
          drift: 'neverRun',
          lock: null,
          stateUnverified: null,
          detached: false,
          archived: false,
        },
      });
      expect(environment.settings.approvalExpirySeconds).toBe(14 * 86_400);
    });

    test('do not take a name twice, except that of an archived one', async () => {
      const first = await makeEnvironment(db);
      await expect(makeEnvironment(db, { name: first.name })).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining(first.name),
      });
      await archiveEnvironment(db, first.id);
      const second = await makeEnvironment(db, { name: first.name });
      expect((await findEnvironment(db, first.name)).id).toBe(second.id);
    });

    test('are found by id, beginning of an id, name and path', async () => {
      const shop = await makeEnvironment(db, { name: unique('Shop with / slash') });
      const eks = await makeEnvironment(db, { name: 'EKS', parent: { id: shop.id, alias: 'eks/😀 x' } });
      for (const reference of [shop.id, shop.id.slice(0, -2), shop.name, shop.name.toLowerCase()]) {
        expect((await findEnvironment(db, reference)).id).toBe(shop.id);
      }
      for (const reference of [eks.id, `${shop.name}/eks/😀 x`, `${shop.id}/eks/😀 x`, `${shop.name}/EKS/😀 x`]) {
        expect((await findEnvironment(db, reference)).id).toBe(eks.id);
      }
    });

    test('that are missing are answered with the nearest ones, for a path with the nodes there are', async () => {
      const shop = await makeEnvironment(db, { name: unique('online-shop') });
      await makeEnvironment(db, { parent: { id: shop.id, alias: 'database' } });
      await expect(findEnvironment(db, shop.name.slice(1))).rejects.toMatchObject({
        code: 'notFound',
        hint: expect.stringContaining(shop.name),
      });
      await expect(findEnvironment(db, `${shop.name}/databse`)).rejects.toMatchObject({
        hint: expect.stringContaining(`${shop.name}/database`),
      });
      await expect(findEnvironment(db, "x' OR 1=1 --\0%_\\")).rejects.toMatchObject({ code: 'notFound' });
    });

    test('with the same name in two projects are ambiguous without the project', async () => {
      const { organizationId } = await defaultProject(db);
      const other = await createProject(db, { organizationId, name: unique('second') });
      const one = await makeEnvironment(db, { name: unique('twin') });
      const two = await makeEnvironment(db, { name: one.name, projectId: other.id });
      await expect(findEnvironment(db, one.name)).rejects.toMatchObject({
        code: 'ambiguous',
        message: expect.stringContaining(two.id),
      });
      expect((await findEnvironment(db, one.name, { projectId: other.id })).id).toBe(two.id);
      expect((await findEnvironment(db, two.id, { projectId: other.id })).id).toBe(two.id);
      await expect(findEnvironment(db, one.id, { projectId: other.id })).rejects.toMatchObject({ code: 'notFound' });
    });

    test('are listed by filters, page by page', async () => {
      const mark = unique('list');
      const made = [];
      for (const name of ['one', 'two', 'three']) made.push(await makeEnvironment(db, { name: `${mark}-${name}` }));
      const [one, two] = made;
      if (!one || !two) throw new Error('unreachable');
      await makeEnvironment(db, { name: `${mark}-node`, parent: { id: one.id, alias: 'node' } });
      await setEnvironmentDrift(db, two.id, 'drifted', new Date());
      const names = async (filter: Parameters<typeof listEnvironments>[1]): Promise<string[]> =>
        (await everyPage((cursor) => listEnvironments(db, { name: mark, ...filter, limit: 1, cursor }))).items.map(
          ({ name }) => name.slice(mark.length + 1),
        );
      expect(await names({})).toEqual(['node', 'one', 'three', 'two']);
      expect(await names({ parentId: null })).toEqual(['one', 'three', 'two']);
      expect(await names({ parentId: one.id })).toEqual(['node']);
      expect(await names({ drift: 'drifted' })).toEqual(['two']);
      expect(await names({ status: 'active' })).toEqual([]);
      expect(await names({ projectId: 'prj_none' })).toEqual([]);
      await archiveEnvironment(db, one.id);
      expect(await names({})).toEqual(['three', 'two']);
      expect(await names({ archived: true })).toEqual(['node', 'one']);
    });

    test('keep settings, lock and expiry', async () => {
      const environment = await makeEnvironment(db);
      const lock = { reason: 'release week', by: 'alice', at: new Date().toISOString() };
      const expiresAt = new Date('2030-01-02T03:04:05.678Z');
      await setEnvironmentLock(db, environment.id, lock);
      await setEnvironmentExpiry(db, environment.id, expiresAt);
      const settings = { ...environment.settings, requiresApproval: true, ttl: { kind: 'hours', hours: 3 } } as const;
      const changed = await updateEnvironment(db, environment.id, { settings, revision: 'v2' });
      expect(changed).toMatchObject({ settings, revision: 'v2', expiresAt: expiresAt.toISOString(), flags: { lock } });
      await setEnvironmentLock(db, environment.id, null);
      await setEnvironmentExpiry(db, environment.id, null);
      expect(await getEnvironment(db, environment.id)).toMatchObject({ expiresAt: null, flags: { lock: null } });
      await expect(setEnvironmentLock(db, 'env_none', null)).rejects.toMatchObject({ code: 'notFound' });
    });

    test('may have their template inside them', async () => {
      const { id } = await defaultProject(db);
      const settings = (await makeEnvironment(db)).settings;
      const inlineTemplate = { type: 'shell', source: local, config: {} } as const;
      expect(
        await createEnvironment(db, { projectId: id, name: unique('inline'), inlineTemplate, settings }),
      ).toMatchObject({ type: 'shell', templateName: null });
      await expect(
        createEnvironment(db, { projectId: 'prj_none', name: 'x', inlineTemplate, settings }),
      ).rejects.toMatchObject({ code: 'notFound' });
    });

    test('have each alias once among their nodes', async () => {
      const parent = await makeEnvironment(db);
      const node = await makeEnvironment(db, { parent: { id: parent.id, alias: 'db' } });
      await expect(makeEnvironment(db, { parent: { id: parent.id, alias: 'db' } })).rejects.toMatchObject({
        code: 'conflict',
      });
      expect((await listSubEnvironments(db, parent.id)).map(({ id }) => id)).toEqual([node.id]);
    });
  });

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
      const { items } = await everyPage((cursor) => listAuditEntries(db, { targetId, limit: 2, cursor }));
      expect(items.map(({ action }) => action)).toEqual(['c', 'b', 'a']);
      expect(items[0]).toMatchObject({
        actor: alice,
        before: null,
        after: { nul: 'a\ufffdb\ufffd', backslash: '\\u0000' },
      });
      expect((await listAuditEntries(db, { targetId, actor: 'bob' })).items).toHaveLength(1);
      expect((await listAuditEntries(db, { targetId, until: new Date(0) })).items).toEqual([]);
    });
  });

  test("text with a NUL is the caller's mistake", async () => {
    await expect(createOrganization(db, { name: 'a\0b' })).rejects.toMatchObject({ code: 'invalidInput' });
  });
});
