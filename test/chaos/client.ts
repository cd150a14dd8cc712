import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { isTerminalDeployment } from '../../src/model/index.ts';
import type { Deployment, Environment, NodeRun, Page } from '../../src/model/index.ts';
import type { Cluster } from './cluster.ts';

/** The API said no, with a reason. */
export class Refused extends Error {
  readonly status: number;
  /** In the words of the API, short. */
  readonly reason: string;
  constructor(call: string, status: number, text: string) {
    super(`${call}: ${status} ${text}`);
    this.status = status;
    const detail = /"detail":"((?:[^"\\\\]|\\\\.)*)"/.exec(text)?.[1] ?? text;
    this.reason = detail.slice(0, 160);
  }
}

export interface ChaosClient {
  /** Asks again, with the same idempotency key, while nobody answers. Throws Refused on 4xx. */
  request<T>(method: 'GET' | 'POST' | 'PUT', path: string, body?: unknown): Promise<T>;
  nodes(deploymentId: string): Promise<NodeRun[]>;
  deployments(environmentId: string): Promise<Deployment[]>;
  children(environmentId: string): Promise<Environment[]>;
  /** null when it has not ended in time. */
  ended(deploymentId: string, withinMs: number): Promise<Deployment | null>;
}

/** An API that dies again and again in the same call leaves its key taken for half a minute each time. */
const patienceMs = 300_000;

export function createChaosClient(cluster: Cluster): ChaosClient {
  async function request<T>(method: 'GET' | 'POST' | 'PUT', path: string, body?: unknown): Promise<T> {
    const key = randomUUID();
    const deadline = Date.now() + patienceMs;
    for (;;) {
      try {
        const response = await fetch(`${cluster.apiUrl}/api/v1${path}`, {
          method,
          headers: {
            authorization: `Bearer ${cluster.token()}`,
            ...(method !== 'GET' ? { 'content-type': 'application/json', 'idempotency-key': key } : {}),
          },
          signal: AbortSignal.timeout(30_000),
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const text = await response.text();
        if (response.status < 400) return (text === '' ? null : JSON.parse(text)) as T;
        // The call that an API died with holds its key for a while; the hint of the answer is to ask again.
        const requestInProgressError = response.status === 409 && text.includes(key);
        if (response.status < 500 && !requestInProgressError)
          throw new Refused(`${method} ${path}`, response.status, text);
        throw new Error(`${method} ${path}: ${response.status} ${text}`);
      } catch (error) {
        if (error instanceof Refused || Date.now() > deadline) throw error;
        await delay(250);
      }
    }
  }
  const client: ChaosClient = {
    request,
    nodes: async (id) => (await request<Page<NodeRun>>('GET', `/deployments/${id}/nodes?limit=1000`)).items,
    deployments: async (id) =>
      (await request<Page<Deployment>>('GET', `/deployments?environment=${id}&limit=100`)).items,
    children: async (id) => (await request<Page<Environment>>('GET', `/environments/${id}/children?limit=100`)).items,
    async ended(id, withinMs) {
      for (const deadline = Date.now() + withinMs; Date.now() < deadline; await delay(200)) {
        const found = await request<Deployment>('GET', `/deployments/${id}`);
        if (isTerminalDeployment(found.status)) return found;
      }
      return null;
    },
  };
  return client;
}
