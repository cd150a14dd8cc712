import { templateInputSchema } from '../src/model/index.ts';
import type { Page } from '../src/model/index.ts';
import {
  archiveEnvironment,
  createEnvironment,
  createOrganization,
  createProject,
  createTemplate,
  deleteProject,
  deleteTemplate,
  ensureDefaults,
  findEnvironment,
  findOrganization,
  findProject,
  findTemplate,
  getEnvironment,
  listEnvironments,
  listOrganizations,
  listProjects,
  listSubEnvironments,
  listTemplates,
  recordDriftResult,
  scopeTtlSettings,
  setEnvironmentExpiry,
  setEnvironmentLock,
  updateEnvironment,
  updateProjectSettings,
  updateTemplate,
} from '../src/store/index.ts';
import type { Db } from '../src/store/index.ts';
import {
  databaseKinds,
  defaultProject,
  makeDeployment,
  makeEnvironment,
  makeTemplate,
  openForTest,
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
      expect(await findProject(db, project.name, 'all')).toEqual(project);
      expect(await findProject(db, project.id, 'all')).toEqual(project);
      expect(await findProject(db, project.id.slice(0, -1), 'all')).toEqual(project);
    });

    test('say what there is when a name is missing, and which are meant when it is ambiguous', async () => {
      await expect(findProject(db, 'defualt', 'all')).rejects.toMatchObject({
        code: 'notFound',
        hint: expect.stringContaining('"default"'),
      });
      const other = await createOrganization(db, { name: unique('other') });
      const twin = await createProject(db, { organizationId: other.id, name: 'default' });
      await expect(findProject(db, 'default', 'all')).rejects.toMatchObject({
        code: 'ambiguous',
        message: expect.stringContaining(twin.id),
      });
      expect(await findProject(db, 'default', [twin.id])).toEqual(twin);
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
      await expect(findProject(db, project.id, 'all')).rejects.toMatchObject({ code: 'notFound' });
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
      expect(await findTemplate(db, input.name, [project.id])).toEqual(changed);
    });

    test('are found by name in their project only, and a missing one lists the nearest', async () => {
      const template = await makeTemplate(db, { name: unique('network') });
      const elsewhere = await createProject(db, {
        organizationId: (await findOrganization(db, 'default')).id,
        name: unique('elsewhere'),
      });
      await expect(findTemplate(db, template.name, [elsewhere.id])).rejects.toMatchObject({
        code: 'notFound',
      });
      await expect(findTemplate(db, template.name.slice(0, -1), [template.projectId])).rejects.toMatchObject({
        hint: expect.stringContaining(template.name),
      });
      await makeTemplate(db, { name: template.name, projectId: elsewhere.id });
      await expect(findTemplate(db, template.name, 'all')).rejects.toMatchObject({
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
        listTemplates(db, 'all', { name: mark.toUpperCase(), limit: 2, cursor }),
      );
      expect(items.map(({ name }) => name.slice(-1))).toEqual(['a', 'b', 'c', 'd', 'e']);
      expect(pages).toBe(3);
      expect((await listTemplates(db, 'all', { name: mark, type: 'shell' })).items).toHaveLength(1);
    });
  });

  describe('lists', () => {
    test.each([
      'nonsense',
      'bnVsbA',
      Buffer.from('["a"]').toString('base64url'),
      Buffer.from('["a\\u0000","b"]').toString('base64url'),
    ])('refuse the cursor %s', async (cursor) => {
      await expect(listProjects(db, 'all', { cursor })).rejects.toMatchObject({
        code: 'invalidInput',
        message: expect.stringContaining('cursor'),
      });
    });

    test.each([0, 201, 1.5, Number.NaN])('refuse the limit %p', async (limit) => {
      await expect(listProjects(db, 'all', { limit })).rejects.toMatchObject({ code: 'invalidInput' });
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
      expect((await findEnvironment(db, first.name, 'all')).id).toBe(second.id);
    });

    test('are found by id, beginning of an id, name and path', async () => {
      const shop = await makeEnvironment(db, { name: unique('Shop with / slash') });
      const eks = await makeEnvironment(db, { name: 'EKS', parent: { id: shop.id, alias: 'eks/😀 x' } });
      for (const reference of [shop.id, shop.id.slice(0, -2), shop.name, shop.name.toLowerCase()]) {
        expect((await findEnvironment(db, reference, 'all')).id).toBe(shop.id);
      }
      for (const reference of [eks.id, `${shop.name}/eks/😀 x`, `${shop.id}/eks/😀 x`, `${shop.name}/EKS/😀 x`]) {
        expect((await findEnvironment(db, reference, 'all')).id).toBe(eks.id);
      }
    });

    test('that are missing are answered with the nearest ones, for a path with the nodes there are', async () => {
      const shop = await makeEnvironment(db, { name: unique('online-shop') });
      await makeEnvironment(db, { parent: { id: shop.id, alias: 'database' } });
      await expect(findEnvironment(db, shop.name.slice(1), 'all')).rejects.toMatchObject({
        code: 'notFound',
        hint: expect.stringContaining(shop.name),
      });
      await expect(findEnvironment(db, `${shop.name}/databse`, 'all')).rejects.toMatchObject({
        hint: expect.stringContaining(`${shop.name}/database`),
      });
      await expect(findEnvironment(db, "x' OR 1=1 --\0%_\\", 'all')).rejects.toMatchObject({ code: 'notFound' });
    });

    test('with the same name in two projects are ambiguous without the project', async () => {
      const { organizationId } = await defaultProject(db);
      const other = await createProject(db, { organizationId, name: unique('second') });
      const one = await makeEnvironment(db, { name: unique('twin') });
      const two = await makeEnvironment(db, { name: one.name, projectId: other.id });
      await expect(findEnvironment(db, one.name, 'all')).rejects.toMatchObject({
        code: 'ambiguous',
        message: expect.stringContaining(two.id),
      });
      expect((await findEnvironment(db, one.name, [other.id])).id).toBe(two.id);
      expect((await findEnvironment(db, two.id, [other.id])).id).toBe(two.id);
      await expect(findEnvironment(db, one.id, [other.id])).rejects.toMatchObject({ code: 'notFound' });
    });

    test('are listed by filters, page by page', async () => {
      const mark = unique('list');
      const made = [];
      for (const name of ['one', 'two', 'three']) made.push(await makeEnvironment(db, { name: `${mark}-${name}` }));
      const [one, two] = made;
      if (!one || !two) throw new Error('unreachable');
      await makeEnvironment(db, { name: `${mark}-node`, parent: { id: one.id, alias: 'node' } });
      await recordDriftResult(db, {
        environmentId: two.id,
        entityId: two.id,
        alias: 'two',
        deploymentId: (await makeDeployment(db, two.id)).id,
        status: 'drifted',
        resources: [],
        message: null,
      });
      const names = async (filter: Parameters<typeof listEnvironments>[2]): Promise<string[]> =>
        (
          await everyPage((cursor) => listEnvironments(db, 'all', { name: mark, ...filter, limit: 1, cursor }))
        ).items.map(({ name }) => name.slice(mark.length + 1));
      expect(await names({})).toEqual(['node', 'one', 'three', 'two']);
      expect(await names({ parentId: null })).toEqual(['one', 'three', 'two']);
      expect(await names({ parentId: one.id })).toEqual(['node']);
      expect(await names({ drift: 'drifted' })).toEqual(['two']);
      expect(await names({ status: 'active' })).toEqual([]);
      expect((await listEnvironments(db, ['prj_none'], { name: mark })).items).toEqual([]);
      expect((await listEnvironments(db, [], { name: mark })).items).toEqual([]);
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

  test("text with a NUL is the caller's mistake", async () => {
    await expect(createOrganization(db, { name: 'a\0b' })).rejects.toMatchObject({ code: 'invalidInput' });
  });
});
