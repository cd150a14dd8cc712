import { setTimeout as sleep } from 'node:timers/promises';
import { apiBase, idempotencyHeader } from '../contract/index.ts';
import { ApiError, isRefused, refusalOf, unreachable } from './errors.ts';

export interface Server {
  readonly url: string;
  readonly token: string | null;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Until the answer is whole; 120,000 when absent, Infinity for no end. */
  readonly timeoutMs?: number | undefined;
  /** How often a call is sent whose line breaks; 3 when absent. */
  readonly tries?: number | undefined;
  /** Of a call that changes something; a new one for each call when absent. */
  readonly idempotencyKey?: string | undefined;
}

export interface Ask extends CallOptions {
  readonly method: string;
  /** Under /api/v1, with what it names. */
  readonly path: string;
  readonly query?: Readonly<Record<string, unknown>> | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** How a value is written in an address: lists with commas, times in ISO 8601. */
function queryText(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  return String(value);
}

function addressOf({ url }: Server, { path, query }: Ask): URL {
  const address = new URL(`${url.replace(/\/+$/, '')}${apiBase}${path}`);
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== undefined) address.searchParams.set(name, queryText(value));
  return address;
}

function initOf({ token }: Server, ask: Ask): RequestInit {
  const headers: Record<string, string> = { accept: 'application/json, application/problem+json', ...ask.headers };
  if (token !== null) headers['authorization'] = `Bearer ${token}`;
  // With a key the server answers a repeated call with what it did the first time, so that a broken line is no harm.
  if (ask.method !== 'GET') headers[idempotencyHeader] = ask.idempotencyKey ?? crypto.randomUUID();
  if (ask.body === undefined) return { method: ask.method, headers, redirect: 'error' };
  headers['content-type'] = 'application/json';
  return { method: ask.method, headers, redirect: 'error', body: JSON.stringify(ask.body) };
}

function signalOf({ signal, timeoutMs = 120_000 }: Ask): AbortSignal | null {
  const signals = [
    ...(signal ? [signal] : []),
    ...(Number.isFinite(timeoutMs) ? [AbortSignal.timeout(timeoutMs)] : []),
  ];
  return signals.length > 1 ? AbortSignal.any(signals) : (signals[0] ?? null);
}

/** Sends a call, again when the line breaks. Answers what succeeded; everything else is an ApiError. */
export async function send(server: Server, ask: Ask): Promise<Response> {
  const address = addressOf(server, ask);
  const init = initOf(server, ask);
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await fetch(address, { ...init, signal: signalOf(ask) });
      if (response.ok) return response;
      throw await refusalOf(response, server.url);
    } catch (error) {
      if (error instanceof ApiError || ask.signal?.aborted) throw error;
      if (attempt >= (ask.tries ?? 3) || isRefused(error)) throw unreachable(server.url, error);
      await sleep(200 * attempt);
    }
  }
}
