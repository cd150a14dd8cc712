import { request as startRequest } from 'node:http';
import type { ClientRequest, IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { ErrorRequestHandler } from 'express';
import { WindlassError } from '../model/index.ts';
import { nodeHostPath } from './protocol.ts';
import { nodeHostRouter } from './router.ts';
import type { PoolAccess } from './router.ts';

const goodToken = 'wlp_good';
const huge = 90 * 1024 ** 2;
const servers: Server[] = [];

/** What none of these tests gets as far as. */
const unused = (): Promise<never> => Promise.reject(new Error('nobody asks for this here'));

const access: PoolAccess = {
  authenticate: (token) =>
    token === goodToken
      ? Promise.resolve('six')
      : Promise.reject(new WindlassError('unauthenticated', 'this token belongs to no runner pool')),
  host: { begin: unused, isAway: () => false },
  records: unused,
  registerWorker: unused,
  beat: () => Promise.resolve(true),
  stopWorker: unused,
  isOf: unused,
};

/** The router behind the simplest application, which answers errors with their status. */
async function serve(pools: PoolAccess): Promise<number> {
  const app = express();
  app.use(nodeHostPath, nodeHostRouter(pools));
  const onError: ErrorRequestHandler = (thrown: unknown, _request, response, _next) =>
    void response.status(thrown instanceof WindlassError ? thrown.status : 500).end();
  app.use(onError);
  const server = await new Promise<Server>((resolve) => {
    const started = app.listen(0, '127.0.0.1', () => resolve(started));
  });
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

afterAll(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

/** Says how long its body will be, and leaves the sending of it to the caller. */
function begin(port: number, token: string, length: number): { call: ClientRequest; answer: Promise<IncomingMessage> } {
  const call = startRequest({
    port,
    host: '127.0.0.1',
    method: 'POST',
    path: `${nodeHostPath}/beat`,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': length },
  });
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    call.once('response', resolve);
    call.once('error', reject);
  });
  call.flushHeaders();
  return { call, answer };
}

it('refuses a huge body with a wrong token without reading it', async () => {
  const port = await serve(access);
  const { call, answer } = begin(port, 'wlp_wrong', huge);
  // Not a byte of it has been sent.
  const { statusCode, headers } = await answer;
  expect([statusCode, headers.connection]).toEqual([401, 'close']);
  call.destroy();
});

it('reads the body of a pool that it knows', async () => {
  const port = await serve(access);
  const body = JSON.stringify({ id: 'wrk_1' });
  const { call, answer } = begin(port, goodToken, body.length);
  call.end(body);
  const response = await answer;
  let text = '';
  for await (const part of response) text += String(part);
  expect([response.statusCode, text]).toEqual([200, '{"known":true}']);
});
