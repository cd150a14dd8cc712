import { readFileSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { NamedKind } from './complete.ts';

/**
 * Asks a server for names while somebody waits at a prompt. It uses nothing but Node's own modules and looks at what comes
 * by hand: loading the schemas of the API would take longer than all the rest. What is not as expected is left out, and
 * nothing here ever starts a server.
 */

type Variables = Readonly<Record<string, string | undefined>>;

export interface KnownServer {
  readonly url: string;
  readonly token: string;
}

/** Long enough for a server on the same continent, short enough for a prompt. */
const patienceMs = 800;

/** The server that a command would talk to; null when none is known. */
export function knownServer(env: Variables): KnownServer | null {
  const profile = readJson(
    join(env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config'), 'windlass', 'profile.json'),
  );
  const profileUrl = textOf(profile, 'url');
  const profileToken = textOf(profile, 'token');
  const named = env['WINDLASS_URL'];
  if (named) {
    const token =
      env['WINDLASS_TOKEN'] ?? (profileUrl && originOf(profileUrl) === originOf(named) ? profileToken : null);
    return token ? { url: named, token } : null;
  }
  if (profileUrl && isRecord(profile) && profile['embedded'] !== true) {
    const token = env['WINDLASS_TOKEN'] ?? profileToken;
    return token ? { url: profileUrl, token } : null;
  }
  const data = env['WINDLASS_DATA'] || join(env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), 'windlass');
  const url = textOf(readJson(join(data, 'server.json')), 'url');
  const token = env['WINDLASS_TOKEN'] ?? readText(join(data, 'administrator.token')) ?? profileToken;
  return url && token ? { url, token } : null;
}

/** Names of a kind that begin with what is typed; none when no server answers in time. */
export async function namesOf(server: KnownServer | null, kind: NamedKind, typed: string): Promise<string[]> {
  if (server === null) return [];
  try {
    return (await candidatesOf(server, kind, typed)).filter(
      (name) => name.startsWith(typed) && /^[^\s'"\\$`]+$/.test(name),
    );
  } catch {
    return [];
  }
}

async function candidatesOf(server: KnownServer, kind: NamedKind, typed: string): Promise<string[]> {
  const list = (path: string): Promise<unknown[]> => getList(server, path, 'items');
  const texts = (items: readonly unknown[], field: string): string[] =>
    items.flatMap((item) => textOf(item, field) ?? []);
  switch (kind) {
    case 'environment': {
      const slash = typed.indexOf('/');
      if (slash > 0) {
        const name = typed.slice(0, slash);
        const nodes = await getList(server, `environments/${encodeURIComponent(name)}/graph`, 'nodes');
        return texts(nodes, 'alias').map((alias) => `${name}/${alias}`);
      }
      return texts(await list(`environments?limit=200&name=${encodeURIComponent(typed)}`), 'name');
    }
    case 'deployment':
      return texts(await list('deployments?limit=50'), 'id');
    case 'approval':
      return texts(await list('approvals?limit=100&status=pending'), 'id');
    case 'key':
    case 'template':
    case 'project':
    case 'organization':
      return texts(await list(`${kind}s?limit=200`), 'name');
  }
}

async function getList({ url, token }: KnownServer, path: string, field: string): Promise<unknown[]> {
  const body: unknown = JSON.parse(await get(`${url.replace(/\/+$/, '')}/api/v1/${path}`, token));
  const items = isRecord(body) ? body[field] : null;
  return Array.isArray(items) ? items : [];
}

function get(address: string, token: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = address.startsWith('https:') ? requestHttps : requestHttp;
    const headers = { authorization: `Bearer ${token}`, accept: 'application/json' };
    const call = request(address, { headers, timeout: patienceMs, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => (text += piece));
      response.on('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`answered ${response.statusCode ?? 0}`)),
      );
      response.on('error', reject);
    });
    call.on('timeout', () => call.destroy(new Error('no answer in time')));
    call.on('error', reject);
    setTimeout(() => call.destroy(new Error('no answer in time')), patienceMs).unref();
    call.end();
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function textOf(value: unknown, field: string): string | null {
  const text = isRecord(value) ? value[field] : null;
  return typeof text === 'string' && text !== '' ? text : null;
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim() || null;
  } catch {
    return null;
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

function originOf(url: string): string | null {
  try {
    return new URL(url).origin;
  } catch {
    return null;
  }
}
