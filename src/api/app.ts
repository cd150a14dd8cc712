import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import express from 'express';
import type { ErrorRequestHandler, Express } from 'express';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { SecretBox } from '../access/index.ts';
import type { Artifacts } from '../artifacts/index.ts';
import { apiBase, contract, describeApi } from '../contract/index.ts';
import { WindlassError } from '../model/index.ts';
import type { Operations, TemporalGateway } from '../operations/index.ts';
import { nodeHostPath, nodeHostRouter } from '../pools/index.ts';
import type { PoolAccess } from '../pools/index.ts';
import type { OpenPayloads } from '../payload-codec.ts';
import { stateRouter } from '../state/index.ts';
import type { StateStore } from '../state/index.ts';
import { readRecordCounts } from '../store/index.ts';
import type { Database } from '../store/index.ts';
import { listenToDatabase } from './announcements.ts';
import { createAuthentication, keyStrategy } from './authentication.ts';
import { codecRouter } from './codec.ts';
import { healthRouter } from './health.ts';
import type { ReadinessCheck } from './health.ts';
import { checkHost } from './hosts.ts';
import { createIdempotencyStore } from './idempotency.ts';
import { metricsRouter } from './metrics.ts';
import { nearRoutes } from './near-routes.ts';
import { pagesRouter, securityHeaders } from './pages.ts';
import { answerTo, HttpProblem, reasonOf } from './problems.ts';
import { logRequests, noteRoute, requestIdOf } from './request-log.ts';
import { createRouter, fromBodyReader } from './router.ts';
import { apiRoutes } from './routes/index.ts';
import { createSharedReads } from './shared-reads.ts';

export interface ApiOptions {
  readonly operations: Operations;
  readonly db: Database;
  readonly secrets: SecretBox;
  readonly state: StateStore;
  readonly artifacts: Artifacts;
  readonly temporal: TemporalGateway;
  readonly log: Logger;
  /** Temporal Web UI; null when unknown. */
  readonly temporalUrl: string | null;
  /** What everything is sealed with, for a backup alone. */
  readonly encryptionKeys: () => readonly Uint8Array[];
  /** Where a backup is put together. */
  readonly backupDirectory: string;
  /** For the workers of runner pools; absent where none are served. */
  readonly pools?: PoolAccess | undefined;
  /** Asked by `/readyz` beside the database, Temporal and the encryption key. */
  readonly checks?: readonly ReadinessCheck[];
  /** Names at which the server is asked beside addresses and `localhost`; `*.example.com` and `*` are possible. */
  readonly hosts?: readonly string[];
  readonly metrics?: {
    /** Opens `/metrics` besides keys that may look at everything. */
    readonly token: string | null;
    /** The text of another exporter. */
    readonly others?: (() => Promise<string>) | undefined;
  };
  /** Opens payloads of Temporal for its Web UI; null when none is sealed. */
  readonly openPayloads?: OpenPayloads | null;
  /** Epoch milliseconds; the machine's clock when absent. */
  readonly clock?: () => number;
}

/** The version in the nearest package.json: beside `src` when run from sources, further up when built. */
export function readVersion(from = __dirname): string {
  for (let directory = from; ; directory = dirname(directory)) {
    try {
      const { name, version } = z
        .object({ name: z.string(), version: z.string() })
        .parse(JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')));
      if (name === 'windlass') return version;
    } catch {
      // Not here.
    }
    if (directory === dirname(directory)) return 'unknown';
  }
}

/** What is sealed opens again: the key is the one the records were made with. */
function checkKey(secrets: SecretBox): void {
  if (secrets.open(secrets.seal('windlass', 'readiness'), 'readiness') !== 'windlass') {
    throw new WindlassError('internal', 'the encryption key does not open what it sealed');
  }
}

function errorHandler(log: Logger): ErrorRequestHandler {
  return (thrown: unknown, request, response, _next) => {
    const error =
      thrown instanceof URIError
        ? new WindlassError('invalidInput', 'The address is not encoded correctly', { hint: 'write % as %25' })
        : fromBodyReader(thrown);
    const { status, headers, body } = answerTo(error, requestIdOf(response));
    if (status >= 500) {
      const line = {
        requestId: body.requestId,
        method: request.method,
        path: request.path.slice(0, 500),
        reason: reasonOf(error),
      };
      log.error(body.code === 'internal' ? { ...line, err: error } : line, body.title);
    }
    if (response.headersSent) {
      // A stream that breaks cannot become a problem any more; the client sees it cut and comes back.
      response.destroy();
      return;
    }
    if (request.method === 'HEAD') {
      response.status(status).set(headers).end();
      return;
    }
    response.status(status).set(headers).type('application/problem+json').send(JSON.stringify(body));
  };
}

/**
 * The whole HTTP interface: the API, its document, the pages, health, and the state backend. It begins to listen on the
 * database when somebody follows something; closing the database ends that.
 */
export function createApi(options: ApiOptions): Express {
  const { operations, db, secrets, state, artifacts, temporal, log, temporalUrl, encryptionKeys, backupDirectory } =
    options;
  const version = readVersion();
  const routes = apiRoutes({
    operations,
    db,
    artifacts,
    announcements: listenToDatabase(db),
    shared: createSharedReads(),
    version,
    temporalUrl,
    encryptionKeys,
    backupDirectory,
  });
  const checks: ReadinessCheck[] = [
    { name: 'database', check: () => db.ping() },
    { name: 'Temporal', check: () => temporal.check() },
    { name: 'encryption key', check: () => Promise.resolve(checkKey(secrets)) },
    ...(options.checks ?? []),
  ];

  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', 'simple');
  app.use(logRequests(log));
  app.use(securityHeaders);
  // Probes name a server as they like.
  app.use(healthRouter(checks));
  const authenticate = createAuthentication({ db, log, strategies: [keyStrategy(db)], clock: options.clock });
  const { token = null, others } = options.metrics ?? {};
  const sources = { records: () => readRecordCounts(db.sql), pool: () => db.pool(), others };
  app.use(metricsRouter({ sources, token, authenticate }));
  app.use(checkHost(options.hosts ?? []));
  app.use(
    '/state',
    (_request, response, next) => {
      noteRoute(response, '/state/:environmentId');
      next();
    },
    stateRouter(state, { onError: (error) => log.error({ reason: reasonOf(error) }, 'state request failed') }),
  );
  const onError = (error: unknown): void => log.error({ err: error }, 'a request of a runner pool failed');
  if (options.pools !== undefined) app.use(nodeHostPath, nodeHostRouter(options.pools, { onError }));
  if (options.openPayloads) {
    const origin = temporalUrl === null ? null : new URL(temporalUrl).origin;
    app.use(codecRouter({ open: options.openPayloads, origin, authenticate }));
  }
  app.use(pagesRouter());

  let document: string | null = null;
  app.get(`${apiBase}/openapi.json`, async (_request, response) => {
    document ??= JSON.stringify(await describeApi(contract, version));
    response.type('application/json').send(document);
  });
  app.use(apiBase, (_request, response, next) => {
    response.set('Cache-Control', 'no-store');
    next();
  });
  app.use(
    apiBase,
    createRouter(routes, {
      authenticate,
      idempotency: createIdempotencyStore(db),
    }),
  );
  app.use((request) => {
    const inApi = request.path.startsWith(`${apiBase}/`) || request.path === apiBase;
    const near = nearRoutes(routes, inApi ? request.path.slice(apiBase.length) : request.path);
    throw new HttpProblem(404, 'notFound', `There is nothing at ${request.path.slice(0, 200)}`, {
      hint:
        near.length > 0
          ? `near it: ${near.map((line) => line.replace(' ', ` ${apiBase}`)).join(', ')}`
          : 'all routes are at /docs/api',
    });
  });
  app.use(errorHandler(log));
  return app;
}
