import { homedir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { temporalTlsOf, temporalTlsVariables } from './config-temporal.ts';
import type { TemporalTls } from './config-temporal.ts';
import { path, trustOf, trustVariables } from './config-trust.ts';
import type { IsolationConfig, SourcesConfig } from './config-trust.ts';
import { WindlassError, poolNameSchema } from './model/index.ts';
import type { Problem } from './model/index.ts';
import { toolPathVariables } from './tools/catalogue.ts';

/**
 * `embedded`: everything in one process. `server`: the API. `worker`: runs workflows and tools. `pool`: runs the tools of a
 * runner pool, without a database.
 */
export const modes = ['embedded', 'server', 'worker', 'pool'] as const;
export type Mode = (typeof modes)[number];

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export type DatabaseConfig =
  | { readonly kind: 'pglite'; readonly directory: string; readonly ignoreDamage?: boolean | undefined }
  /** The address may hold a password: log `describeConfig(config)`, never the config itself. */
  | { readonly kind: 'postgres'; readonly url: string };

/** Where the keys come from; `openEncryptionKeys` turns it into bytes. */
export type EncryptionKeySource =
  | { readonly kind: 'value'; readonly keys: readonly Uint8Array[] }
  /** `create`: made on first use when it is not there. */
  | { readonly kind: 'file'; readonly path: string; readonly create: boolean };

export type { Pem, TemporalTls } from './config-temporal.ts';

export interface Config {
  readonly mode: Mode;
  /** Everything that must survive a restart of the embedded server. */
  readonly dataDirectory: string;
  /** Downloads and builds; may be deleted at any time. */
  readonly cacheDirectory: string;
  readonly http: {
    readonly host: string;
    readonly port: number;
    /** Address people and tools use, without a slash at the end. */
    readonly publicUrl: string;
    /** Further host names at which it is asked; `*.example.com` and `*` are possible. */
    readonly hosts: readonly string[];
    /** The port was asked for by name, so another one may not be taken instead. */
    readonly portIsFixed: boolean;
  };
  readonly database: DatabaseConfig;
  readonly temporal: {
    /** `host:port`; null starts the embedded server. */
    readonly address: string | null;
    readonly namespace: string;
    /** Temporal Web UI, without a slash at the end; null when unknown. */
    readonly uiUrl: string | null;
    /** Of a Temporal that runs elsewhere; null without. */
    readonly tls: TemporalTls | null;
    readonly apiKey: string | null;
    /** Seal what Temporal keeps of messages, inputs, results and failures; newest first. Null leaves it readable. */
    readonly payloadKeys: readonly Uint8Array[] | null;
  };
  readonly encryptionKey: EncryptionKeySource;
  /** Address at which tools reach the state backend, without a slash at the end. */
  readonly stateUrl: string;
  readonly run: {
    /** Tools that run at once on this worker. */
    readonly slots: number;
    /** How long a run waits for a source that cannot be reached, before it fails. */
    readonly sourcePatienceSeconds: number;
  };
  /** The Temporal CLI; null means: look for it. */
  readonly temporalProgram: string | null;
  /** Programs and files of tools, by the variables that name them; see ToolDefinition. */
  readonly toolPaths: Readonly<Record<string, string | undefined>>;
  readonly metrics: {
    /** A port of their own for the metrics of this process and of its workers; null for none. */
    readonly port: number | null;
    readonly host: string;
    /** Opens them, besides keys of the API; null for none. */
    readonly token: string | null;
  };
  /** Of a worker of a runner pool; null in every other mode. */
  readonly pool: PoolConfig | null;
  readonly isolation: IsolationConfig;
  readonly sources: SourcesConfig;
  readonly logLevel: LogLevel;
  /** How long a leaving worker lets its tools go on. */
  readonly shutdownGraceSeconds: number;
}

/** What a worker of a runner pool works for. */
export interface PoolConfig {
  readonly name: string;
  readonly token: string;
  /** Address of the server, without a slash at the end. */
  readonly serverUrl: string;
}

/** What the command line may set itself; it wins over the environment. */
export interface ConfigOverrides {
  readonly mode?: Mode | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly pool?: string | undefined;
  readonly dataDirectory?: string | undefined;
  readonly logLevel?: LogLevel | undefined;
  /** Opens the embedded database although files of it are damaged. */
  readonly ignoreDamage?: boolean | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

function wholeNumber(minimum: number, maximum: number) {
  const expected = `expected a whole number from ${minimum} to ${maximum}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, expected)
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, expected);
}

const httpUrl = z
  .url({ protocol: /^https?$/, error: 'expected an address such as https://windlass.example.com' })
  .transform((text) => text.replace(/\/+$/, ''));

const databaseUrl = z.string().regex(/^postgres(ql)?:\/\/\S+$/, 'expected postgres://user:password@host:5432/database');

const hostAndPort = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):\d{1,5}$/, 'expected host:port, such as 127.0.0.1:7233');

const hostNames = z
  .string()
  .transform((text) => text.split(/[\s,]+/).filter(Boolean))
  .refine(
    (names) => names.every((name) => /^(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)$/.test(name)),
    'expected host names separated by commas, such as windlass.example.com,*.internal',
  );

const hostName = z.string().max(255).regex(/^\S+$/, 'expected a host name or address without spaces');

/** What a key looks like, for messages. */
export const keyExpectation =
  'expected 32 bytes as 64 hexadecimal digits or as base64; make one with: openssl rand -hex 32';

function decodeKey(text: string): Uint8Array | null {
  const trimmed = text.trim();
  if (/^[0-9a-fA-F]{64}$/.test(trimmed)) return Buffer.from(trimmed, 'hex');
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) return null;
  const bytes = Buffer.from(trimmed.replaceAll('-', '+').replaceAll('_', '/'), 'base64');
  return bytes.length === 32 ? bytes : null;
}

/** One key, or several with white space or commas between them, newest first; `#` begins a remark. Null when one is none. */
export function decodeKeys(text: string): Uint8Array[] | null {
  const words = text
    .split('\n')
    .flatMap((line) => line.replace(/#.*$/, '').split(/[\s,]+/))
    .filter((word) => word !== '');
  const keys = words.flatMap((word) => decodeKey(word) ?? []);
  return keys.length > 0 && keys.length === words.length ? keys : null;
}

const encryptionKeys = z.string().transform((text, context) => {
  const keys = decodeKeys(text);
  if (keys) return keys;
  context.addIssue({ code: 'custom', message: keyExpectation });
  return z.NEVER;
});

const variables = z.object({
  WINDLASS_MODE: z.enum(modes, `expected one of ${modes.join(', ')}`).optional(),
  WINDLASS_DATA: path.optional(),
  WINDLASS_CACHE: path.optional(),
  WINDLASS_HOST: hostName.optional(),
  WINDLASS_PORT: wholeNumber(0, 65_535).optional(),
  WINDLASS_PUBLIC_URL: httpUrl.optional(),
  WINDLASS_HOSTS: hostNames.optional(),
  WINDLASS_STATE_URL: httpUrl.optional(),
  WINDLASS_DATABASE_URL: databaseUrl.optional(),
  DATABASE_URL: databaseUrl.optional(),
  TEMPORAL_ADDRESS: hostAndPort.optional(),
  TEMPORAL_NAMESPACE: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/, 'expected a namespace name')
    .optional(),
  ...temporalTlsVariables,
  WINDLASS_TEMPORAL_UI_URL: httpUrl.optional(),
  WINDLASS_PAYLOAD_KEYS: encryptionKeys.optional(),
  WINDLASS_ENCRYPTION_KEY: encryptionKeys.optional(),
  WINDLASS_ENCRYPTION_KEY_FILE: path.optional(),
  WINDLASS_URL: httpUrl.optional(),
  WINDLASS_POOL: poolNameSchema.optional(),
  WINDLASS_POOL_TOKEN: z
    .string()
    .regex(/^wlp_[A-Za-z0-9_-]{43}$/, 'expected the token of a runner pool, wlp_…')
    .optional(),
  WINDLASS_RUN_SLOTS: wholeNumber(1, 10_000).optional(),
  WINDLASS_SOURCE_PATIENCE_SECONDS: wholeNumber(0, 86_400).optional(),
  WINDLASS_TEMPORAL: path.optional(),
  WINDLASS_METRICS_PORT: wholeNumber(0, 65_535).optional(),
  WINDLASS_METRICS_HOST: hostName.optional(),
  WINDLASS_METRICS_TOKEN: z
    .string()
    .regex(
      /^[\x21-\x7e]{16,500}$/,
      'expected 16 characters or more without spaces; make one with: openssl rand -hex 32',
    )
    .optional(),
  ...trustVariables,
  WINDLASS_LOG_LEVEL: z.enum(logLevels, `expected one of ${logLevels.join(', ')}`).optional(),
  WINDLASS_SHUTDOWN_GRACE_SECONDS: wholeNumber(0, 86_400).optional(),
  XDG_DATA_HOME: path.optional(),
  XDG_CACHE_HOME: path.optional(),
});
type Variables = z.infer<typeof variables>;
type VariableName = keyof typeof variables.shape;

/** Names of programs and files of tools. */
const toolVariables = z.object(Object.fromEntries(toolPathVariables().map((name) => [name, path.optional()])));

/** Only the variables that are read, and an empty one counts as absent, as in shells and compose files. */
function present(environment: Environment, names: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = environment[name]?.trim();
    if (value) found[name] = value;
  }
  return found;
}

function defaultSlots(): number {
  const limit = process.constrainedMemory?.() ?? 0;
  const bytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return Math.min(64, Math.max(4, Math.floor((bytes / 2 ** 30) * 2)));
}

function localUrl(host: string, port: number): string {
  const everywhere = host === '0.0.0.0' || host === '::';
  const name = everywhere ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}`;
}

/**
 * Reads the configuration from environment variables. Changes nothing on disk.
 * Throws one `invalidInput` error that lists every bad variable with what is expected, and never a value.
 */
export function loadConfig(environment: Environment, overrides: ConfigOverrides = {}): Config {
  const parsed = variables.safeParse(present(environment, Object.keys(variables.shape)));
  const toolPaths = toolVariables.safeParse(present(environment, Object.keys(toolVariables.shape)));
  const problems: Problem[] = [parsed, toolPaths].flatMap(({ error }) =>
    (error?.issues ?? []).map(({ path: [name], message }) => ({ path: String(name ?? ''), message })),
  );
  const values: Variables = parsed.success ? parsed.data : {};
  const mode = overrides.mode ?? values.WINDLASS_MODE ?? 'embedded';

  /** A variable that server and worker cannot do without. One that is there but wrong has been reported already. */
  function demand(names: readonly VariableName[], expected: string): void {
    if (names.some((name) => environment[name]?.trim())) return;
    const command = mode === 'pool' ? 'worker --pool' : mode;
    problems.push({ path: names[0], message: `missing: \`windlass ${command}\` needs it; ${expected}` });
  }
  const keepsRecords = mode === 'server' || mode === 'worker';
  if (keepsRecords)
    demand(['WINDLASS_DATABASE_URL', 'DATABASE_URL'], 'expected postgres://user:password@host:5432/database');
  if (mode !== 'embedded') demand(['TEMPORAL_ADDRESS'], 'expected host:port, such as 127.0.0.1:7233');
  if (keepsRecords) demand(['WINDLASS_ENCRYPTION_KEY', 'WINDLASS_ENCRYPTION_KEY_FILE'], keyExpectation);
  if (mode === 'pool') {
    demand(['WINDLASS_URL'], 'the address of the server, such as https://windlass.example.com');
    demand(['WINDLASS_POOL_TOKEN'], 'the token that `windlass pool create` has shown');
    if (overrides.pool === undefined) demand(['WINDLASS_POOL'], 'the name of the pool');
  }

  const temporalTls = temporalTlsOf(values);
  problems.push(...temporalTls.problems);
  if (problems.length > 0) throw invalidConfiguration(problems);

  const dataDirectory = overrides.dataDirectory
    ? resolve(overrides.dataDirectory)
    : (values.WINDLASS_DATA ?? join(values.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'windlass'));
  const cacheDirectory = values.WINDLASS_CACHE ?? join(values.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'windlass');
  const host = overrides.host ?? values.WINDLASS_HOST ?? '127.0.0.1';
  const port = overrides.port ?? values.WINDLASS_PORT ?? 8080;
  const publicUrl = values.WINDLASS_PUBLIC_URL ?? localUrl(host, port);

  return {
    mode,
    dataDirectory,
    cacheDirectory,
    http: {
      host,
      port,
      publicUrl,
      hosts: values.WINDLASS_HOSTS ?? [],
      portIsFixed: overrides.port !== undefined || values.WINDLASS_PORT !== undefined || mode !== 'embedded',
    },
    database: databaseOf({ mode, values, dataDirectory }, overrides.ignoreDamage),
    temporal: {
      address: values.TEMPORAL_ADDRESS ?? null,
      namespace: values.TEMPORAL_NAMESPACE ?? 'default',
      uiUrl: values.WINDLASS_TEMPORAL_UI_URL ?? null,
      tls: temporalTls.tls,
      apiKey: values.TEMPORAL_API_KEY ?? null,
      payloadKeys: values.WINDLASS_PAYLOAD_KEYS ?? null,
    },
    encryptionKey: keySourceOf({ mode, values, dataDirectory }),
    stateUrl: values.WINDLASS_STATE_URL ?? publicUrl,
    run: {
      slots: values.WINDLASS_RUN_SLOTS ?? defaultSlots(),
      sourcePatienceSeconds: values.WINDLASS_SOURCE_PATIENCE_SECONDS ?? 180,
    },
    temporalProgram: values.WINDLASS_TEMPORAL ?? null,
    toolPaths: toolPaths.data ?? {},
    metrics: {
      port: values.WINDLASS_METRICS_PORT ?? null,
      host: values.WINDLASS_METRICS_HOST ?? '127.0.0.1',
      token: values.WINDLASS_METRICS_TOKEN ?? null,
    },
    pool: mode === 'pool' ? poolOf(values, overrides.pool) : null,
    ...trustOf(values, mode === 'embedded'),
    logLevel: overrides.logLevel ?? values.WINDLASS_LOG_LEVEL ?? 'info',
    shutdownGraceSeconds: values.WINDLASS_SHUTDOWN_GRACE_SECONDS ?? 120,
  };
}

/** What is missing has been said before. */
function poolOf(values: Variables, named: string | undefined): PoolConfig {
  const { WINDLASS_POOL: name, WINDLASS_POOL_TOKEN: token = '', WINDLASS_URL: serverUrl = '' } = values;
  return { name: named ?? name ?? '', token, serverUrl };
}

interface ModeContext {
  readonly mode: Mode;
  readonly values: Variables;
  readonly dataDirectory: string;
}

function databaseOf({ mode, values, dataDirectory }: ModeContext, ignoreDamage?: boolean): DatabaseConfig {
  // DATABASE_URL on a developer's machine usually belongs to another program, whose database must not get our tables.
  const url = values.WINDLASS_DATABASE_URL ?? (mode === 'embedded' ? undefined : values.DATABASE_URL);
  if (url !== undefined) return { kind: 'postgres', url };
  const embedded = { kind: 'pglite', directory: join(dataDirectory, 'database') } as const;
  return ignoreDamage === true ? { ...embedded, ignoreDamage } : embedded;
}

function keySourceOf({ mode, values, dataDirectory }: ModeContext): EncryptionKeySource {
  if (values.WINDLASS_ENCRYPTION_KEY) return { kind: 'value', keys: values.WINDLASS_ENCRYPTION_KEY };
  if (values.WINDLASS_ENCRYPTION_KEY_FILE) {
    return { kind: 'file', path: values.WINDLASS_ENCRYPTION_KEY_FILE, create: false };
  }
  return { kind: 'file', path: join(dataDirectory, 'encryption.key'), create: mode === 'embedded' };
}

function invalidConfiguration(problems: readonly Problem[]): WindlassError {
  const lines = problems.map((problem) => `  ${problem.path ?? ''}: ${problem.message}`);
  return new WindlassError('invalidInput', ['the configuration is not usable:', ...lines].join('\n'), {
    hint: 'set these environment variables and start again; docs/operating.md explains each',
    problems,
  });
}

/** The same configuration on another port, for an embedded server whose usual port is taken. */
export function withPort(config: Config, port: number): Config {
  const usual = localUrl(config.http.host, config.http.port);
  const own = localUrl(config.http.host, port);
  const publicUrl = config.http.publicUrl === usual ? own : config.http.publicUrl;
  const stateUrl = config.stateUrl === usual || config.stateUrl === config.http.publicUrl ? publicUrl : config.stateUrl;
  return { ...config, http: { ...config.http, port, publicUrl }, stateUrl };
}

/** Every name at which this server is asked: by people, by tools, and what else is set. */
export function ownHosts(config: Config): string[] {
  const named = [config.http.publicUrl, config.stateUrl].map((url) => new URL(url).hostname);
  return [...named, config.http.host, ...config.http.hosts];
}

/** The configuration as it may be logged: without the key and without the database's password. */
export function describeConfig(config: Config): Record<string, unknown> {
  const { encryptionKey: key, database, metrics, temporal, pool, ...rest } = config;
  return {
    ...rest,
    temporal: describeTemporal(temporal),
    metrics: { ...metrics, token: metrics.token === null ? null : '***' },
    pool: pool && { name: pool.name, serverUrl: pool.serverUrl },
    database: database.kind === 'pglite' ? database : { kind: 'postgres', url: withoutPassword(database.url) },
    encryptionKey: key.kind === 'value' ? 'from WINDLASS_ENCRYPTION_KEY' : key.path,
  };
}

function describeTemporal({ tls, apiKey, payloadKeys, ...rest }: Config['temporal']): Record<string, unknown> {
  const { ca = null, certificate = null, key = null, serverName = null } = tls ?? {};
  const named = { ca: ca?.variable, certificate: certificate?.variable, key: key?.variable, serverName };
  return {
    ...rest,
    tls: tls === null ? null : named,
    apiKey: apiKey === null ? null : '***',
    payloadsSealed: payloadKeys !== null,
  };
}

function withoutPassword(address: string): string {
  try {
    const url = new URL(address);
    if (url.password) url.password = '***';
    // libpq also takes the password as a parameter.
    for (const name of url.searchParams.keys()) if (/pass|key/i.test(name)) url.searchParams.set(name, '***');
    return url.toString();
  } catch {
    return 'postgres://***';
  }
}
