import { request as startRequest } from 'node:http';
import type { ClientRequest, IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApplicationFailure } from '@temporalio/activity';
import express from 'express';
import type { Express } from 'express';
import { WindlassError } from '../model/index.ts';
import { createHttpHost } from './http-host.ts';
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

/** What the server has said it did not foresee. */
const unforeseen: unknown[] = [];

async function listen(app: Express): Promise<number> {
  const server = await new Promise<Server>((resolve) => {
    const started = app.listen(0, '127.0.0.1', () => resolve(started));
  });
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

function serve(pools: PoolAccess): Promise<number> {
  const app = express();
  app.use(nodeHostPath, nodeHostRouter(pools, { onError: (error) => void unforeseen.push(error) }));
  return listen(app);
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

const hostAt = (port: number) => createHttpHost({ url: `http://127.0.0.1:${port}`, token: goodToken });
const failing = (error: Error): Promise<number> => serve({ ...access, beat: () => Promise.reject(error) });
const heard = async (port: number): Promise<unknown> =>
  hostAt(port)
    .beat('wrk_1')
    .catch((error: unknown) => error);

it('tells a worker why a call came to nothing, whole', async () => {
  const problems = [{ message: '"db" makes no output "port"', path: 'inputs.port' }];
  const error = new WindlassError('invalidDefinition', 'an input cannot be read', {
    class: 'definition',
    hint: 'check the output',
    problems,
  });
  const { message, code, class: errorClass, hint } = error;
  const told = await heard(await failing(error));
  expect(told).toBeInstanceOf(WindlassError);
  expect(told).toMatchObject({ message, code, class: errorClass, hint, problems });
  const refused = await heard(await failing(ApplicationFailure.nonRetryable('not of this pool', 'refused')));
  expect(refused).toMatchObject({ name: 'ApplicationFailure', type: 'refused', message: 'not of this pool' });
});

it('keeps what nobody foresaw to its own log', async () => {
  const error = new Error('the password of the database is pass');
  const told = await heard(await failing(error));
  expect(told).toMatchObject({ code: 'internal', class: 'internal' });
  expect(String(told)).not.toContain('pass');
  expect(unforeseen).toContain(error);
});

it('takes an answer of something else for a server that is away, unless it says that the worker is wrong', async () => {
  const answering = (status: number): Promise<number> =>
    listen(express().use((_request, response) => void response.status(status).send('<html>a gateway</html>')));
  const away = await answering(502);
  expect(hostAt(away).isAway(await heard(away))).toBe(true);
  const wrong = await answering(404);
  const told = await heard(wrong);
  expect(told).toMatchObject({ name: 'WindlassError', code: 'internal' });
  expect(String(told)).toContain('404');
  expect(hostAt(wrong).isAway(told)).toBe(false);
  const nobody = hostAt(1);
  expect(nobody.isAway(await nobody.beat('wrk_1').catch((error: unknown) => error))).toBe(true);
});

it('says that a body is no JSON instead of failing', async () => {
  const port = await serve(access);
  const { call, answer } = begin(port, goodToken, 1);
  call.end('{');
  expect((await answer).statusCode).toBe(400);
});
