import { mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config.ts';
import type { Deployment, Environment, NodeRun, Page, ProblemDetails, Template } from '../../src/model/index.ts';
import { isTerminalDeployment } from '../../src/model/index.ts';
import { startWindlass } from '../../src/server.ts';
import { stackPaths } from './stack-paths.ts';
import { toolPath } from './tools.ts';
import { noteSeen, until } from './until.ts';

/** A client of the REST API for tests; answers bodies and throws on errors, with the problem in the message. */
export interface TestClient {
  readonly url: string;
  readonly token: string;
  request<T>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<T>;
  createTemplate(input: Record<string, unknown>): Promise<Template>;
  createEnvironment(input: Record<string, unknown>): Promise<Environment>;
  environment(ref: string): Promise<Environment>;
  /** Answers errors too. */
  raw<T>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<{ status: number; body: T }>;
  /** The body as it came, for what is not JSON. */
  text(path: string): Promise<string>;
  /** Asks for a run and answers it as soon as it is recorded. */
  start(ref: string, request?: Record<string, unknown>): Promise<Deployment>;
  /** Asks for a run that is refused, and answers why. Throws when it is taken, or when it left a record. */
  refused(ref: string, request?: Record<string, unknown>): Promise<ProblemDetails>;
  /** Asks for a run and answers it when it is over. */
  run(ref: string, request?: Record<string, unknown>): Promise<Deployment>;
  ended(id: string): Promise<Deployment>;
  nodes(id: string): Promise<NodeRun[]>;
  /** `alias → status`, forward nodes only. */
  statuses(id: string): Promise<Record<string, string>>;
  /** Waits until the check answers something; a wait in vain says what the API last answered. */
  until: typeof until;
}

export function createTestClient(url: string, token: string): TestClient {
  const call = async <T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: T }> => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    noteSeen(`${method} ${path}`, `${response.status} ${text}`);
    return { status: response.status, body: (text === '' ? null : JSON.parse(text)) as T };
  };
  const request = async <T>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<T> => {
    const answer = await call<T>(method, path, body, headers);
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const client: TestClient = {
    url,
    token,
    request,
    raw: call,
    text: async (path) => {
      const response = await fetch(`${url}/api/v1${path}`, { headers: { authorization: `Bearer ${token}` } });
      const text = await response.text();
      if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${text}`);
      // The end of a log says more than its beginning.
      noteSeen(`GET ${path}`, text.slice(-1000));
      return text;
    },
    until,
    createTemplate: (input) => request('POST', '/templates', input),
    createEnvironment: (input) => request('POST', '/environments', input),
    environment: (ref) => request('GET', `/environments/${encodeURIComponent(ref)}`),
    start: (ref, input = {}) => request('POST', `/environments/${encodeURIComponent(ref)}/deployments`, input),
    refused: async (ref, input = {}) => {
      const path = `/environments/${encodeURIComponent(ref)}/deployments`;
      const count = async (): Promise<number> => (await request<Page<Deployment>>('GET', path)).items.length;
      const before = await count();
      const { status, body } = await call<ProblemDetails>('POST', path, input);
      if (status < 400) throw new Error(`it was taken: ${JSON.stringify(body)}`);
      if ((await count()) !== before) throw new Error(`it left a deployment in the list: ${JSON.stringify(body)}`);
      return body;
    },
    run: async (ref, input = {}) => client.ended((await client.start(ref, input)).id),
    ended: (id) =>
      until(
        async () => {
          const deployment = await request<Deployment>('GET', `/deployments/${id}`);
          return isTerminalDeployment(deployment.status) && deployment;
        },
        { what: `${id} has ended`, explain: async () => shortly(await client.nodes(id)) },
      ),
    nodes: async (id) => (await request<Page<NodeRun>>('GET', `/deployments/${id}/nodes?limit=200`)).items,
    statuses: async (id) =>
      Object.fromEntries(
        (await client.nodes(id)).filter((node) => !node.compensation).map((node) => [node.alias, node.status]),
      ),
  };
  return client;
}

/** Where each node is, short enough for a message. */
const shortly = (nodes: readonly NodeRun[]): unknown =>
  nodes.map(({ alias, status, stage, reason, error }) => [alias, status, stage, reason?.message, error?.message]);

export interface TestServer extends TestClient {
  readonly dataDirectory: string;
  readonly temporalUrl: string | null;
  /** `host:port`. */
  readonly temporalAddress: string;
  stop(): Promise<void>;
}

/** Environment variables under which an embedded server for tests finds its tools and stays out of everybody's way. */
export function testEnvironment(dataDirectory: string): Record<string, string> {
  return {
    WINDLASS_DATA: dataDirectory,
    WINDLASS_CACHE:
      process.env['WINDLASS_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'windlass'),
    WINDLASS_PORT: '0',
    WINDLASS_TOFU: toolPath('tofu'),
    WINDLASS_TEMPORAL: toolPath('temporal'),
    WINDLASS_LOG_LEVEL: process.env['WINDLASS_LOG_LEVEL'] ?? 'warn',
    WINDLASS_SHUTDOWN_GRACE_SECONDS: '5',
    WINDLASS_SOURCE_PATIENCE_SECONDS: '0',
    WINDLASS_ISOLATION: process.env['WINDLASS_ISOLATION'] ?? 'auto',
    WINDLASS_STACK_PATHS: stackPaths(),
    // Servers of tests have their sources on this machine.
    WINDLASS_LOCAL_SOURCES: '/',
    WINDLASS_ALLOW_LOCAL_GIT: 'true',
  };
}

/** A whole embedded Windlass in this process, with real Temporal and real OpenTofu. `variables` are settings besides. */
export async function startTestServer(variables: Record<string, string> = {}): Promise<TestServer> {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'windlass-test-'));
  const running = await startWindlass(loadConfig({ ...testEnvironment(dataDirectory), ...variables }));
  return {
    ...createTestClient(running.url, running.token ?? ''),
    dataDirectory,
    temporalUrl: running.temporalUrl,
    temporalAddress: running.temporalAddress,
    stop: async () => {
      await running.stop();
      rmSync(dataDirectory, { recursive: true, force: true });
    },
  };
}

/**
 * A server for all tests of a file, started before them and stopped after them. `variables` are settings besides, and may be
 * made just before the start.
 */
export function useTestServer(
  variables: Record<string, string> | (() => Promise<Record<string, string>>) = {},
): TestServer {
  let running: TestServer | undefined;
  beforeAll(async () => {
    running = await startTestServer(typeof variables === 'function' ? await variables() : variables);
  });
  afterAll(() => running?.stop());
  // Tests name it where they are declared, when it has not started yet.
  return new Proxy<Partial<TestServer>>(
    {},
    {
      get(_, name) {
        if (running === undefined) throw new Error('the server of this file runs only while its tests do');
        return Reflect.get(running, name) as unknown;
      },
    },
  ) as TestServer;
}
