import { tmpdir } from 'node:os';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import pino from 'pino';
import { createKey, createSecretBox } from '../access/index.ts';
import type { SecretBox } from '../access/index.ts';
import { createArtifacts } from '../artifacts/index.ts';
import type { Environment } from '../model/index.ts';
import { createOperations } from '../operations/index.ts';
import type { Operations } from '../operations/index.ts';
import { createRecordingGateway } from '../operations/gateway.test-support.ts';
import type { RecordingGateway } from '../operations/gateway.test-support.ts';
import { createStateStore } from '../state/index.ts';
import { openDatabase } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { createApi } from './app.ts';
import type { ApiOptions } from './app.ts';

export interface Answer<T = unknown> {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Parsed when it is JSON. */
  readonly body: T;
}

export interface CallOptions {
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly raw?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly token?: string | null;
}

export interface Harness {
  readonly url: string;
  readonly token: string;
  readonly db: Database;
  readonly secrets: SecretBox;
  readonly gateway: RecordingGateway;
  readonly operations: Operations;
  /** Lines of the server's log. */
  readonly log: string[];
  call<T = Record<string, unknown>>(method: string, path: string, options?: CallOptions): Promise<Answer<T>>;
  key(permissions: readonly string[]): Promise<string>;
  /** A template and an environment of it. */
  environment(name: string, options?: { type?: string; settings?: object }): Promise<Environment>;
  close(): Promise<void>;
}

/** A real API on a real database in memory; only Temporal is stood in for. */
export async function startHarness(options: Pick<ApiOptions, 'hosts' | 'clock' | 'metrics'> = {}): Promise<Harness> {
  const db = await openDatabase({ kind: 'pglite', directory: null });
  const secrets = createSecretBox(randomBytes(32));
  const gateway = createRecordingGateway();
  const artifacts = createArtifacts({ db, secrets });
  const state = createStateStore({ db, secrets });
  const operations = createOperations({ db, secrets, temporal: gateway, artifacts, state });
  const log: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => void log.push(line) });
  const app = createApi({
    encryptionKeys: () => [],
    backupDirectory: tmpdir(),
    operations,
    db,
    secrets,
    state,
    artifacts,
    temporal: gateway,
    log: logger,
    temporalUrl: 'http://temporal.test',
    ...options,
  });
  const server: Server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { token } = await createKey(db.sql, { name: 'admin', permissions: ['*'] });

  let keys = 0;

  async function call<T>(method: string, path: string, options: CallOptions = {}): Promise<Answer<T>> {
    const headers = new Headers(options.headers);
    const bearer = options.token === undefined ? token : options.token;
    if (bearer !== null) headers.set('authorization', `Bearer ${bearer}`);
    let body: string | Uint8Array<ArrayBuffer> | undefined;
    if (options.raw !== undefined) body = options.raw;
    else if (options.body !== undefined) {
      body = JSON.stringify(options.body);
      if (!headers.has('content-type')) headers.set('content-type', 'application/json');
    }
    const response = await fetch(path.startsWith('/') ? url + path : `${url}/api/v1/${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: (isJson && text ? JSON.parse(text) : null) as T,
    };
  }

  return {
    url,
    token,
    db,
    secrets,
    gateway,
    operations,
    log,
    call,
    key: async (permissions) =>
      (await createKey(db.sql, { name: `${permissions.join(' ')} #${++keys}`, permissions })).token,
    async environment(name, options = {}) {
      const template = await call<{ id: string }>('POST', 'templates', {
        body: {
          name: `${name} template`,
          type: options.type ?? 'workflow',
          source: { kind: 'local', directory: '/srv/stacks' },
        },
      });
      const made = await call<Environment>('POST', 'environments', {
        body: { name, template: template.body.id, settings: options.settings ?? {} },
      });
      if (made.status !== 201) throw new Error(made.text);
      return made.body;
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await db.close();
    },
  };
}
