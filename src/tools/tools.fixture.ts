/** Real parts for the runners' tests: a state backend that speaks HTTP, sources on disk, and runs. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { toolPath } from '../../test/support/tools.ts';
import type { Stage, TemplateType } from '../model/index.ts';
import { withoutIsolation } from '../process/index.ts';
import { createRunners } from './index.ts';
import type { Isolation, StopLadder } from '../process/index.ts';
import type { RunnerRegistry, StackRun, ToolVariable } from './index.ts';

const lockSchema = z.looseObject({ ID: z.string() });

export interface StateServer {
  readonly url: string;
  /** Bodies by path. */
  readonly states: Map<string, string>;
  readonly locks: Map<string, z.infer<typeof lockSchema>>;
  /** `METHOD /path` of every request. */
  readonly requests: string[];
  /** Passwords seen. */
  readonly passwords: Set<string>;
  /** Answers POST with 500 while true. */
  refuseWrites: boolean;
  /** Keeps every answer back while true. */
  hold: boolean;
  /** Breaks every connection while true, as when the API is down; `broken` counts them. */
  down: boolean;
  broken: number;
  close(): Promise<void>;
}

export async function startStateServer(): Promise<StateServer> {
  const states = new Map<string, string>();
  const locks = new Map<string, z.infer<typeof lockSchema>>();
  const requests: string[] = [];
  const passwords = new Set<string>();
  const http = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      const url = new URL(request.url ?? '/', 'http://state');
      const key = url.pathname;
      requests.push(`${request.method} ${key}`);
      const basic = Buffer.from((request.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString();
      passwords.add(basic.split(':')[1] ?? '');
      const held = locks.get(key);
      const answer = (status: number, text = '') => {
        response.statusCode = status;
        response.end(text);
      };
      if (server.hold) return;
      if (server.down) {
        server.broken++;
        request.socket.destroy();
        return;
      }
      switch (request.method) {
        case 'GET': {
          const state = states.get(key);
          return state === undefined ? answer(204) : answer(200, state);
        }
        case 'POST':
          if (server.refuseWrites) return answer(500);
          if (held?.ID !== url.searchParams.get('ID')) return answer(423);
          states.set(key, body);
          return answer(200);
        case 'LOCK':
          if (held) return answer(423, JSON.stringify(held));
          locks.set(key, lockSchema.parse(JSON.parse(body)));
          return answer(200);
        case 'UNLOCK':
          locks.delete(key);
          return answer(200);
        default:
          return answer(405);
      }
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      http.closeAllConnections();
      http.close(() => resolve());
    });
  const server: StateServer = {
    url: `http://127.0.0.1:${port}`,
    states,
    locks,
    requests,
    passwords,
    refuseWrites: false,
    hold: false,
    down: false,
    broken: 0,
    close,
  };
  return server;
}

export interface Workshop {
  readonly directory: string;
  readonly runners: RunnerRegistry;
  /** Makes a source; directories come from the names. */
  source(name: string, files: Readonly<Record<string, string>>): string;
  run(options: RunFixture): StackRun & RunTrace;
  clean(): void;
}

export interface RunFixture {
  readonly source: string;
  readonly environment?: string;
  readonly type?: TemplateType;
  readonly path?: string;
  readonly id?: string;
  readonly state?: string | null;
  readonly variables?: readonly ToolVariable[];
  readonly env?: Readonly<Record<string, string>>;
  readonly config?: StackRun['config'];
  readonly workspace?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface RunTrace {
  readonly trace: { text: string; readonly stages: string[]; readonly progress: string[] };
}

export function makeWorkshop(
  options: {
    ladder?: StopLadder;
    cliConfig?: string;
    cacheDirectory?: string;
    directory?: string;
    isolation?: Isolation;
    /** Path of the program instead of the real one. */
    tool?: string;
  } = {},
): Workshop {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'windlass-runners-'));
  const runners = createRunners({
    tools: {
      find: (program) => Promise.resolve(options.tool ?? toolPath(program === 'terraform' ? 'terraform' : 'tofu')),
    },
    cacheDirectory: options.cacheDirectory ?? join(directory, 'cache'),
    ladder: options.ladder,
    paths: options.cliConfig === undefined ? {} : { WINDLASS_TF_CLI_CONFIG: options.cliConfig },
  });
  return {
    directory,
    runners,
    source(name, files) {
      const root = join(directory, 'sources', name);
      mkdirSync(root, { recursive: true });
      for (const [file, text] of Object.entries(files)) {
        mkdirSync(dirname(join(root, file)), { recursive: true });
        writeFileSync(join(root, file), text);
      }
      return root;
    },
    run(fixture) {
      const trace = { text: '', stages: [] as string[], progress: [] as string[] };
      const environment = fixture.environment ?? 'env';
      return {
        id: fixture.id ?? 'deployment_1/0',
        environmentId: environment,
        type: fixture.type ?? 'opentofu',
        sourceDirectory: fixture.source,
        path: fixture.path ?? '.',
        workDirectory: join(directory, 'work', environment),
        isolation: options.isolation ?? withoutIsolation(),
        workspace: fixture.workspace ?? null,
        config: fixture.config ?? {},
        variables: fixture.variables ?? [],
        environment: { PATH: process.env['PATH'] ?? '', HOME: directory, ...fixture.env },
        state: fixture.state
          ? { address: `${fixture.state}/${environment}`, username: 'grant', password: 'secret-grant' }
          : null,
        timeoutMs: fixture.timeoutMs ?? 120_000,
        signal: fixture.signal ?? new AbortController().signal,
        log: (text) => {
          trace.text += text;
        },
        enter: (stage: Stage, evidence) => {
          trace.stages.push(evidence?.changes ? `${stage}!` : stage);
          return Promise.resolve();
        },
        progress: (text) => trace.progress.push(text),
        trace,
      };
    },
    clean: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export function variable(name: string, value: ToolVariable['value'], sensitive = false): ToolVariable {
  const type =
    typeof value === 'number'
      ? 'number'
      : typeof value === 'boolean'
        ? 'boolean'
        : Array.isArray(value)
          ? 'list'
          : typeof value === 'string'
            ? 'text'
            : 'map';
  return { name, type, value, sensitive };
}
