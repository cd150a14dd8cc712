import { randomBytes } from 'node:crypto';
import { createSecretBox } from '../../src/access/index.ts';
import {
  environmentInputSchema,
  environmentSettingsSchema,
  deploymentRequestSchema,
  templateInputSchema,
} from '../../src/model/index.ts';
import type { Actor, Environment, Project, Template } from '../../src/model/index.ts';
import {
  createDeployment,
  createEnvironment,
  createTemplate,
  findProject,
  openDatabase,
} from '../../src/store/index.ts';
import type { CreatedDeployment, Database, Db } from '../../src/store/index.ts';
import { startPostgres } from './postgres.ts';
import type { TestPostgres } from './postgres.ts';

/** Both kinds of database, for `describe.each`. */
export const databaseKinds = ['pglite', 'postgres'] as const;
export type DatabaseKind = (typeof databaseKinds)[number];

export interface OpenedForTest {
  readonly database: Database;
  readonly db: Db;
  /** null on PGlite. */
  readonly server: TestPostgres | null;
  /** One that has used this database: at the same time on PostgreSQL, before on PGlite. `number` is its presence. */
  anotherProcess(): Promise<{ readonly number: number | null; end(): Promise<void> }>;
  close(): Promise<void>;
}

export async function openForTest(kind: DatabaseKind): Promise<OpenedForTest> {
  if (kind === 'pglite') {
    const database = await openDatabase({ kind: 'pglite', directory: null });
    return {
      database,
      db: database.sql,
      server: null,
      async anotherProcess() {
        const other = await openDatabase({ kind: 'pglite', directory: null });
        return { number: await other.presence.current(), end: () => other.close() };
      },
      close: () => database.close(),
    };
  }
  const server = await startPostgres();
  const database = await openDatabase({ kind: 'postgres', url: server.url });
  return {
    database,
    db: database.sql,
    server,
    async anotherProcess() {
      const other = await openDatabase({ kind: 'postgres', url: server.url });
      return { number: await other.presence.current(), end: () => other.close() };
    },
    async close() {
      await database.close();
      await server.stop();
    },
  };
}

export const secrets = createSecretBox(randomBytes(32));
export const alice: Actor = { kind: 'key', id: 'key_alice', name: 'alice', from: '127.0.0.1' };
export const bob: Actor = { kind: 'key', id: 'key_bob', name: 'bob', from: null };

/** A name that no other test uses. */
export const unique = (name: string): string => `${name}-${randomBytes(4).toString('hex')}`;

export const defaultProject = (db: Db): Promise<Project> => findProject(db, 'default', 'all');

export async function makeTemplate(
  db: Db,
  input: { name?: string; type?: string; projectId?: string } = {},
): Promise<Template> {
  const projectId = input.projectId ?? (await defaultProject(db)).id;
  return createTemplate(
    db,
    projectId,
    templateInputSchema.parse({
      name: input.name ?? unique('template'),
      type: input.type ?? 'opentofu',
      source: { kind: 'local', directory: '/srv/code' },
    }),
  );
}

export async function makeEnvironment(
  db: Db,
  input: { name?: string; template?: Template; parent?: { id: string; alias: string }; projectId?: string } = {},
): Promise<Environment> {
  const template =
    input.template ?? (await makeTemplate(db, input.projectId === undefined ? {} : { projectId: input.projectId }));
  const { name, settings } = environmentInputSchema.parse({
    name: input.name ?? unique('environment'),
    template: template.id,
  });
  return createEnvironment(db, {
    projectId: template.projectId,
    templateId: template.id,
    name,
    settings: environmentSettingsSchema.parse(settings),
    parent: input.parent,
  });
}

export async function makeDeployment(
  db: Db,
  environmentId: string,
  input: Record<string, unknown> = {},
): Promise<CreatedDeployment> {
  const request = deploymentRequestSchema.parse(input);
  return createDeployment(db, secrets, {
    environmentId,
    type: request.type,
    trigger: 'user',
    requestedBy: alice,
    request,
  });
}

export interface TestNode {
  readonly alias: string;
  readonly environmentId: string;
  readonly needs?: readonly number[];
  readonly status?: string;
  readonly compensation?: boolean;
  readonly snapshot?: unknown;
}

export async function insertNodes(db: Db, deploymentId: string, nodes: readonly TestNode[]): Promise<void> {
  await db
    .insertInto('node_runs')
    .values(
      nodes.map((node, index) => ({
        deployment_id: deploymentId,
        index,
        alias: node.alias,
        name: node.alias,
        environment_id: node.environmentId,
        needs: JSON.stringify(node.needs ?? []),
        action: 'deploy',
        status: node.status ?? 'pending',
        compensation: node.compensation ?? false,
        snapshot: node.snapshot === undefined ? null : JSON.stringify(node.snapshot),
      })),
    )
    .execute();
}

export const samplePlan = {
  counts: { add: 1, change: 2, destroy: 0 },
  hasChanges: true,
  resources: [{ address: 'x.y', type: 'x', action: 'create', before: null, after: { a: 1 } }],
  state: null,
} as const;

/** An environment with two nodes and a running deployment of both. */
export async function runningShop(db: Db) {
  const shop = await makeEnvironment(db);
  const network = await makeEnvironment(db, { parent: { id: shop.id, alias: 'network' } });
  const database = await makeEnvironment(db, { parent: { id: shop.id, alias: 'db' } });
  const deployment = await makeDeployment(db, shop.id);
  await insertNodes(db, deployment.id, [
    {
      alias: 'network',
      environmentId: network.id,
      snapshot: { templateName: 'net', type: 'opentofu', commit: 'abc' },
    },
    { alias: 'db', environmentId: database.id, needs: [0] },
  ]);
  await db
    .updateTable('deployments')
    .set({ status: 'running', started_at: new Date() })
    .where('id', '=', deployment.id)
    .execute();
  return { shop, network, database, deployment };
}
