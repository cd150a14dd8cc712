import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeCall {
  /** `GET /environments/shop?x=1`, under /api/v1. */
  readonly line: string;
  readonly body: unknown;
  readonly headers: IncomingMessage['headers'];
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Answers a JSON body, or writes to the response itself and answers undefined. */
export type FakeHandler = (call: FakeCall) => unknown;

export interface FakeServer {
  readonly url: string;
  readonly calls: FakeCall[];
  /** Lines of the calls of one method. */
  lines(method?: string): string[];
  close(): Promise<void>;
}

/** An HTTP server with canned answers, by the call's method and path without its query. */
export async function startFakeServer(routes: Readonly<Record<string, FakeHandler>>): Promise<FakeServer> {
  const calls: FakeCall[] = [];
  const server: Server = createServer((request, response) => {
    void answer(request, response);
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const piece of request.setEncoding('utf8')) text += String(piece);
    const line = `${request.method ?? ''} ${(request.url ?? '').replace(/^\/api\/v1/, '')}`;
    const call: FakeCall = {
      line,
      body: text ? JSON.parse(text) : undefined,
      headers: request.headers,
      request,
      response,
    };
    calls.push(call);
    const handler = routes[line.replace(/\?.*/, '')];
    if (!handler) {
      problem(response, 404, 'notFound', `there is no ${line}`);
      return;
    }
    const body = await handler(call);
    if (body !== undefined && !response.headersSent)
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A test that fails before it closes its server must not hold the process.
  server.unref();
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    lines: (method) =>
      calls.map(({ line }) => line).filter((line) => method === undefined || line.startsWith(`${method} `)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function problem(
  response: ServerResponse,
  status: number,
  code: string,
  detail: string,
  hint?: string,
): undefined {
  const body = { type: `urn:windlass:problem:${code}`, title: code, status, detail, code, hint, requestId: 'req_1' };
  response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(body));
  return undefined;
}

export function openSse(response: ServerResponse): (event: { id?: number; event?: string; data: unknown }) => void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
  return ({ id, event, data }) => {
    response.write(
      `${id === undefined ? '' : `id: ${id}\n`}${event ? `event: ${event}\n` : ''}data: ${JSON.stringify(data)}\n\n`,
    );
  };
}

export const page = <T>(...items: T[]): { items: T[]; next: null } => ({ items, next: null });
