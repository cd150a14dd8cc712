import { request } from 'node:http';
import { startHarness } from './api.test-support.ts';
import type { Harness } from './api.test-support.ts';
import { isOwnHost } from './hosts.ts';

it.each([
  '127.0.0.1',
  '127.0.0.1:8080',
  'localhost',
  'LOCALHOST:80',
  'shop.localhost:1',
  '[::1]:8080',
  '10.1.2.3',
  'windlass.example.com',
  'Windlass.Example.com.:443',
  'a.internal',
  'b.a.internal:1',
])('answers for %s', (host) => {
  expect(isOwnHost(host, ['windlass.example.com', '*.internal'])).toBe(true);
});

it.each([
  '',
  'evil.example',
  'windlass.example.com.evil.example',
  'internal',
  'xinternal',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  '127.0.0.1@evil.example',
  '[evil.example]',
])('does not answer for "%s"', (host) => {
  expect(isOwnHost(host, ['windlass.example.com', '*.internal'])).toBe(false);
});

it('answers for every name when it is told to', () => {
  expect(isOwnHost('anything.example', ['*'])).toBe(true);
});

describe('a request', () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startHarness({ hosts: ['windlass.example.com'] });
  });
  afterAll(() => harness.close());

  const ask = (path: string, host: string) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const { hostname, port } = new URL(harness.url);
      const headers = { host, authorization: `Bearer ${harness.token}` };
      request({ hostname, port, path, headers }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }),
        );
      })
        .on('error', reject)
        .end();
    });

  it.each(['/api/v1/me', '/api/v1/openapi.json', '/', '/state/env_1'])(
    'for %s at a name of a stranger that points here is refused, and says what to set',
    async (path) => {
      const refused = await ask(path, 'rebound.evil.example:8080');
      expect(refused.status).toBe(421);
      expect(JSON.parse(refused.text)).toMatchObject({
        code: 'unknownHost',
        detail: 'This server does not answer for the host "rebound.evil.example:8080"',
        hint: 'name it in WINDLASS_HOSTS, or set WINDLASS_PUBLIC_URL to the address that people use',
      });
    },
  );

  it('at its own name is answered, and a probe is at any', async () => {
    expect((await ask('/api/v1/me', 'windlass.example.com')).status).toBe(200);
    expect((await ask('/healthz', 'rebound.evil.example')).status).toBe(200);
  });
});
