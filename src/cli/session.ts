import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { createClient } from '../client/index.ts';
import type { Client } from '../client/index.ts';
import { loadConfig } from '../config.ts';
import type { Config } from '../config.ts';
import { CliError, exitCodes, usageError } from './exit.ts';
import type { Io, Output, Printer } from './io.ts';
import { readProfile, writeProfile } from './profile.ts';
import type { Profile } from './profile.ts';
import { reportStart } from './startup.ts';
import type { RunningServer, StartProgress } from './startup.ts';

/** A server to talk to, for as long as a command takes. */
export interface Session {
  readonly client: Client;
  /** This process runs the server itself. */
  readonly embedded: boolean;
  readonly temporalUrl: string | null;
  close(): Promise<void>;
}

export interface ServerChoice {
  readonly url: string | undefined;
  readonly token: string | undefined;
}

export interface SessionDependencies {
  /** Starts everything in this process. */
  readonly start: (
    config: Config,
    onProgress: (progress: StartProgress) => void,
    options: { readonly newAdministratorKey?: boolean | undefined },
  ) => Promise<RunningServer>;
  /** The embedded server that uses a data directory now. */
  readonly findRunning: (
    dataDirectory: string,
  ) => Promise<{ readonly url: string | null; readonly temporalUrl: string | null } | null>;
}

/** The real ones are loaded when they are needed: they bring Temporal and the database, and most commands need neither. */
export const realDependencies: SessionDependencies = {
  start: async (config, onProgress, options) => {
    const { startWindlass } = await import('../server.ts');
    return startWindlass(config, onProgress, options);
  },
  findRunning: async (dataDirectory) => {
    const { findRunning } = await import('../embedded/index.ts');
    return findRunning(dataDirectory);
  },
};

interface OpenOptions {
  readonly io: Io;
  readonly printer: Printer;
  readonly choice: ServerChoice;
  readonly dependencies: SessionDependencies;
  /** False: only a server that is there already. */
  readonly mayStart?: boolean;
  /** False: one that is still starting counts as none. */
  readonly mayWait?: boolean;
}

/**
 * Finds the server for a command: flags, then WINDLASS_URL, then the embedded server that is running, then the profile.
 * Without any the embedded one is started and stopped again with the command.
 */
export async function openSession(options: OpenOptions): Promise<Session> {
  const { io, choice } = options;
  const named = choice.url ?? io.env['WINDLASS_URL'];
  const token = choice.token ?? io.env['WINDLASS_TOKEN'];
  const profile = readProfile(io.env);
  if (named) {
    const url = checkUrl(named);
    return remote(url, token ?? (profile && sameServer(profile.url, url) ? profile.token : null));
  }
  if (profile && !profile.embedded) return remote(profile.url, token ?? profile.token);
  const config = loadConfig(io.env, { mode: 'embedded' });
  const local = await openLocal(options, config.dataDirectory);
  if (local) return local;
  if (options.mayStart === false)
    throw new CliError('no server is running', { code: 'unreachable', hint: 'start one: windlass up' });
  return startEmbeddedSession(options, config, token);
}

/** The key that the embedded server leaves for whoever owns its data; null when there is none. */
function readAdministratorToken(dataDirectory: string): string | null {
  try {
    return readFileSync(join(dataDirectory, 'administrator.token'), 'utf8').trim() || null;
  } catch {
    return null;
  }
}

const longestStartMs = 600_000;

/** The embedded server that is running; one that is still starting is waited for. */
async function waitForStart(
  { io, printer, dependencies, mayWait }: OpenOptions,
  dataDirectory: string,
): Promise<{ url: string; temporalUrl: string | null } | null> {
  const deadline = io.now() + longestStartMs;
  for (let told = false; ; told = true) {
    const running = await dependencies.findRunning(dataDirectory);
    if (!running) return null;
    if (running.url) return { url: running.url, temporalUrl: running.temporalUrl };
    if (mayWait === false || io.now() > deadline) return null;
    if (!told) printer.remark('The embedded server is still starting; waiting for it.');
    await sleep(500);
  }
}

function remote(url: string, token: string | null): Session {
  if (token === null) {
    throw new CliError(`there is no key for ${url}`, {
      exitCode: exitCodes.notAllowed,
      code: 'unauthenticated',
      hint: `store one: windlass login ${url}   or set WINDLASS_TOKEN`,
    });
  }
  return { client: createClient({ url, token }), embedded: false, temporalUrl: null, close: async () => undefined };
}

async function startEmbeddedSession(options: OpenOptions, config: Config, token: string | undefined): Promise<Session> {
  const { printer } = options;
  printer.remark('No server is running: starting one for this command (`windlass up` keeps one running).');
  // Nothing of the start belongs to the result of the command.
  const server = await startEmbedded({ ...options, config, output: options.io.stderr, brief: true });
  return sessionOf(options.io, server, { token, close: () => server.stop() });
}

/** Talks to the embedded server that this process runs. Stops it again when there is no key for it. */
export async function sessionOf(
  io: Io,
  server: RunningServer,
  { token, close }: { readonly token?: string | undefined; readonly close: () => Promise<void> },
): Promise<Session> {
  const profile = readProfile(io.env);
  const key = token ?? server.token ?? (profile?.embedded === true ? profile.token : null);
  if (key === null) {
    await close();
    throw new CliError('the database has an administrator key already, and it is not on this machine', {
      exitCode: exitCodes.notAllowed,
      code: 'unauthenticated',
      hint: 'set WINDLASS_TOKEN to a key, or make another administrator key: windlass up --new-administrator-key',
    });
  }
  return {
    client: createClient({ url: server.url, token: key }),
    embedded: true,
    temporalUrl: server.temporalUrl,
    close,
  };
}

interface StartOptions {
  readonly io: Io;
  readonly printer: Printer;
  readonly config: Config;
  readonly dependencies: SessionDependencies;
  readonly output: Output;
  readonly brief: boolean;
  readonly newAdministratorKey?: boolean | undefined;
}

/** Starts the embedded server, shows the start, and keeps its key in the profile for the commands that follow. */
export async function startEmbedded(options: StartOptions): Promise<RunningServer> {
  const { io, printer, config, output, brief } = options;
  const style = output === io.stderr ? printer.errorStyle : printer.style;
  const reporter = reportStart(output, { style, json: printer.format !== 'table' && !brief, brief });
  const step = (tool: string, detail: string): void =>
    reporter.onProgress({ tool, phase: 'ready', elapsedMs: 0, detail });
  try {
    step(`Node ${process.versions.node}`, '');
    step('database', config.database.kind === 'pglite' ? `embedded, ${config.dataDirectory}` : 'PostgreSQL');
    const { newAdministratorKey } = options;
    const server = await options.dependencies.start(config, reporter.onProgress, { newAdministratorKey });
    const profile = readProfile(io.env);
    if (server.token !== null && (!profile || profile.embedded) && !sameProfile(profile, server)) {
      const file = writeProfile(io.env, { url: server.url, token: server.token, embedded: true });
      if (profile?.token !== server.token) step('administrator key', `stored in ${file}`);
    }
    return server;
  } finally {
    reporter.close();
  }
}

/** The embedded server of this machine that is running already; null when there is none. */
export async function openLocal(options: OpenOptions, dataDirectory: string): Promise<Session | null> {
  const running = await waitForStart(options, dataDirectory);
  if (!running) return null;
  const named = options.choice.token ?? options.io.env['WINDLASS_TOKEN'];
  const token = named ?? readAdministratorToken(dataDirectory) ?? readProfile(options.io.env)?.token ?? null;
  return { ...remote(running.url, token), temporalUrl: running.temporalUrl };
}

function sameProfile(profile: Profile | null, server: RunningServer): boolean {
  return profile?.url === server.url && profile.token === server.token;
}

const urlSchema = z.url({ protocol: /^https?$/ });

export function checkUrl(text: string): string {
  const parsed = urlSchema.safeParse(text);
  if (!parsed.success)
    throw usageError(`"${text}" is not an address`, 'expected something like https://windlass.example.com');
  return text.replace(/\/+$/, '');
}

/** A key is only ever sent to the server it was stored for. */
function sameServer(a: string, b: string): boolean {
  return new URL(a).origin === new URL(b).origin;
}
