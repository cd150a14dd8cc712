import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WindlassError } from '../model/index.ts';
import { exposition, expositionType } from './exposition.ts';
import type { MetricSources } from './exposition.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Whether an Authorization header carries the token for scrapes. */
export function carriesToken(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  return given !== undefined && timingSafeEqual(digest(given), digest(token));
}

export interface MetricsServerOptions {
  readonly host: string;
  readonly port: number;
  /** Demanded when there is one. */
  readonly token: string | null;
  readonly sources: MetricSources;
}

export interface MetricsServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** `/metrics` on a port of its own, for processes without an API. Throws `conflict` when the port is taken. */
export async function serveMetrics({ host, port, token, sources }: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    if (request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    if (token !== null && !carriesToken(request.headers.authorization, token)) {
      response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end();
      return;
    }
    exposition(sources).then(
      (text) => response.writeHead(200, { 'Content-Type': expositionType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new WindlassError('conflict', `metrics cannot be served on ${host}:${port}: ${error.message}`, {
          hint: 'set WINDLASS_METRICS_PORT to a free port',
        }),
      ),
    );
    server.listen(port, host);
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
