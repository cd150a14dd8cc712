import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import express from 'express';
import { createSecretBox } from '../access/index.ts';
import { newId, systemActor } from '../model/index.ts';
import { openDatabase } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { createStateStore, stateRouter } from './index.ts';
import type { GrantRequest, StateStore } from './index.ts';

export const actor = { ...systemActor, name: 'Ada' };

/** PGlite in memory, or the PostgreSQL server that WINDLASS_TEST_DATABASE_URL names: the same tests hold on both. */
export function openTestDatabase(): Promise<Database> {
  const url = process.env['WINDLASS_TEST_DATABASE_URL'];
  return openDatabase(url ? { kind: 'postgres', url } : { kind: 'pglite', directory: null });
}

/** A state as the tools write it. */
export function stateText(options: {
  serial: number;
  lineage?: string;
  resources?: readonly object[];
  outputs?: Record<string, unknown>;
}): string {
  const { serial, lineage = 'lineage-1', resources = [], outputs = {} } = options;
  return JSON.stringify(
    { version: 4, terraform_version: '1.12.6', serial, lineage, outputs, resources, check_results: null },
    null,
    2,
  );
}

export function resource(name: string, attributes: Record<string, unknown>, more: object = {}): object {
  return { mode: 'managed', type: 'terraform_data', name, instances: [{ schema_version: 0, attributes, ...more }] };
}

export interface StateServer {
  readonly db: Database;
  readonly store: StateStore;
  readonly url: string;
  newEnvironment(): Promise<string>;
  /** A grant on a new or given environment, and how to speak with it. */
  newClient(request?: Partial<GrantRequest>): Promise<Client>;
  close(): Promise<void>;
}

export interface Client {
  readonly environmentId: string;
  readonly grantId: string;
  readonly token: string;
  readonly deploymentId: string;
  readonly address: string;
  request(
    method: string,
    options?: { query?: string; body?: string; headers?: Record<string, string> },
  ): Promise<Answer>;
  lock(id: string): Promise<Answer>;
  unlock(id: string): Promise<Answer>;
  post(id: string, body: string): Promise<Answer>;
  get(): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

export function lockBody(id: string): string {
  return JSON.stringify({
    ID: id,
    Operation: 'OperationTypeApply',
    Info: '',
    Who: 'ada@host',
    Version: '1.12.6',
    Created: '2026-01-01T00:00:00Z',
    Path: '',
  });
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

/** The state backend on a real port. */
export async function startStateServer(db: Database, options: { keepVersions?: number } = {}): Promise<StateServer> {
  const store = createStateStore({ db, secrets: createSecretBox(randomBytes(32)), ...options });
  const app = express();
  app.use('/state', stateRouter(store));
  const server = createServer(app);
  const url = `http://127.0.0.1:${await listen(server)}/state`;
  const organization = newId('org');
  const project = newId('prj');
  await db.sql.insertInto('organizations').values({ id: organization, name: organization }).execute();
  await db.sql.insertInto('projects').values({ id: project, organization_id: organization, name: project }).execute();
  let count = 0;

  async function newEnvironment(): Promise<string> {
    const id = newId('env');
    await db.sql.insertInto('environments').values({ id, project_id: project, name: id }).execute();
    return id;
  }

  async function newClient(request: Partial<GrantRequest> = {}): Promise<Client> {
    const environmentId = request.environmentId ?? (await newEnvironment());
    const deploymentId = request.deploymentId ?? `dep_${++count}`;
    const grant = await store.grant({
      index: 0,
      compensation: false,
      readOnly: false,
      ...request,
      environmentId,
      deploymentId,
    });
    const address = `${url}/${environmentId}`;
    const call: Client['request'] = async (method, { query = '', body, headers = {} } = {}) => {
      const authorization = `Basic ${Buffer.from(`${grant.id}:${grant.token}`).toString('base64')}`;
      const response = await fetch(`${address}${query}`, {
        method,
        headers: { authorization, ...headers },
        ...(body === undefined ? {} : { body }),
      });
      return { status: response.status, text: await response.text(), headers: response.headers };
    };
    return {
      environmentId,
      grantId: grant.id,
      token: grant.token,
      deploymentId,
      address,
      request: call,
      lock: (id) => call('LOCK', { body: lockBody(id) }),
      unlock: (id) => call('UNLOCK', { body: lockBody(id) }),
      post: (id, body) => call('POST', { query: `?ID=${id}`, body }),
      get: () => call('GET'),
    };
  }

  return {
    db,
    store,
    url,
    newEnvironment,
    newClient,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
