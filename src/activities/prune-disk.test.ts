import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSources } from '../sources/index.ts';
import { ensureDefaults, findProject, openDatabase } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { pruneDisk } from './prune-disk.ts';

let db: Database;
let projectId: string;
let home: string;
let workDirectory: string;

beforeAll(async () => {
  db = await openDatabase({ kind: 'pglite', directory: null });
  await ensureDefaults(db.sql);
  projectId = (await findProject(db.sql, 'default', 'all')).id;
});
afterAll(() => db.close());
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'windlass-disk-'));
  workDirectory = join(home, 'work');
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const daysAgo = (days: number): Date => new Date(Date.now() - days * 86_400_000);
const prune = (): ReturnType<typeof pruneDisk> =>
  pruneDisk({ db, workDirectory, sources: createSources({ cacheDirectory: join(home, 'sources') }) });

function makeDirectory(name: string): void {
  mkdirSync(join(workDirectory, name, 'tree'), { recursive: true });
  writeFileSync(join(workDirectory, name, 'tree.json'), '{}');
}

interface Has {
  readonly status: string;
  readonly usedDaysAgo: number;
  readonly archived?: boolean;
  readonly parent?: string;
}

async function makeEnvironment(id: string, { status, usedDaysAgo, archived, parent }: Has): Promise<void> {
  await db.sql
    .insertInto('environments')
    .values({
      id,
      project_id: projectId,
      name: id,
      status,
      archived: archived ?? false,
      updated_at: daysAgo(usedDaysAgo),
      ...(parent === undefined ? {} : { parent_id: parent, alias: id }),
    })
    .execute();
  makeDirectory(id);
}

async function makeRun(id: string, environment: string, endedDaysAgo: number | null): Promise<void> {
  await db.sql
    .insertInto('deployments')
    .values({
      id,
      environment_id: environment,
      number: 1,
      type: 'plan',
      trigger: 'user',
      requested_by: '{}',
      request: '{}',
      finished_at: endedDaysAgo === null ? null : daysAgo(endedDaysAgo),
    })
    .execute();
}

it('removes work directories of environments that are gone, and nothing that may be used again', async () => {
  await makeEnvironment('env_gone', { status: 'inactive', usedDaysAgo: 8 });
  await makeEnvironment('env_archived', { status: 'failed', usedDaysAgo: 8, archived: true });
  await makeEnvironment('env_node', { status: 'inactive', usedDaysAgo: 8, parent: 'env_gone' });
  await makeEnvironment('env_lately', { status: 'inactive', usedDaysAgo: 6 });
  await makeEnvironment('env_there', { status: 'active', usedDaysAgo: 300 });
  await makeEnvironment('env_broken', { status: 'failed', usedDaysAgo: 300 });
  await makeEnvironment('env_rescued', { status: 'inactive', usedDaysAgo: 300 });
  mkdirSync(join(workDirectory, 'env_rescued', 'rescued'));
  await makeEnvironment('env_asked', { status: 'inactive', usedDaysAgo: 300 });
  await makeEnvironment('env_asked_node', { status: 'inactive', usedDaysAgo: 300, parent: 'env_asked' });
  await makeRun('dep_asked', 'env_asked', null);
  makeDirectory('env_of_another_database');
  expect(await prune()).toEqual({ checkouts: 0, workDirectories: 3, freedBytes: 0 });
  expect(readdirSync(workDirectory).sort()).toEqual([
    'env_asked',
    'env_asked_node',
    'env_broken',
    'env_lately',
    'env_of_another_database',
    'env_rescued',
    'env_there',
  ]);
});

it('removes what a crash has left of reads, and of its own removals', async () => {
  await makeEnvironment('env_read', { status: 'active', usedDaysAgo: 1 });
  await makeRun('dep_old', 'env_read', 8);
  await db.sql.updateTable('deployments').set({ number: 2 }).where('id', '=', 'dep_old').execute();
  await makeRun('dep_new', 'env_read', 1);
  for (const name of ['env_read.dep_old', 'env_read.dep_new', 'gone-env_x']) makeDirectory(name);
  expect((await prune()).workDirectories).toBe(1);
  expect(readdirSync(workDirectory).sort()).toEqual(['env_read', 'env_read.dep_new']);
});

it('has nothing to do where no tool has run yet', async () => {
  expect(await prune()).toEqual({ checkouts: 0, workDirectories: 0, freedBytes: 0 });
  expect(existsSync(workDirectory)).toBe(true);
});
