import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { noteSeen, until } from './until.ts';
import { createTestClient } from './windlass.ts';

it('answers what the check finds, and looks again as long as it finds nothing', async () => {
  const answers = [null, undefined, false, 'there'] as const;
  let looks = 0;
  expect(await until(() => answers[looks++])).toBe('there');
  expect(looks).toBe(4);
});

it('ends a wait in vain with what was waited for and what was last seen', async () => {
  let looks = 0;
  const waiting = until(
    () => {
      noteSeen('the lamp', `red for the ${++looks}. time`);
      return false;
    },
    { withinMs: 200, what: 'the lamp is green' },
  );
  await expect(waiting).rejects.toThrow(
    /0.2 s in vain until: the lamp is green\nlast seen:\n {2}the lamp: red for the/,
  );
  await expect(waiting).rejects.toThrow(`red for the ${looks}. time`);
});

it('shows the last answer of the API to each path that the check asked for, and no other wait’s', async () => {
  const server = createServer((request, response) => response.end(JSON.stringify({ asked: request.url })));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = createTestClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'token');
  const wait = (path: string): Promise<string> =>
    client
      .until(
        async () => {
          await client.request('GET', path);
          return false;
        },
        { withinMs: 200 },
      )
      .then(
        () => 'found',
        (error: Error) => error.message,
      );
  const [one, two] = await Promise.all([wait('/one'), wait('/two')]);
  server.close();
  expect(one).toContain('GET /one: 200 {"asked":"/api/v1/one"}');
  expect(one).not.toContain('/two');
  expect(two).toContain('GET /two: 200 {"asked":"/api/v1/two"}');
});
