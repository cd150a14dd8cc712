import { randomBytes } from 'node:crypto';
import { countedAddress, createBadKeys } from './bad-keys.ts';
import { startHarness } from './api.test-support.ts';
import type { Harness } from './api.test-support.ts';

const letters = '0123456789abcdefghjkmnpqrstvwxyz';
const badKey = (id = Array.from(randomBytes(20), (byte) => letters[byte % 32]).join('')): string =>
  `wlk_${id}_${randomBytes(32).toString('base64url')}`;

describe('bad keys', () => {
  let harness: Harness;
  let nowMs = Date.UTC(2026, 0, 1);
  beforeAll(async () => {
    harness = await startHarness({ clock: () => nowMs });
  });
  afterAll(() => harness.close());
  afterEach(() => {
    nowMs += 3_600_000;
  });
  const me = (token: string) => harness.call<{ detail: string; hint: string; code: string }>('GET', 'me', { token });
  const auditOf = async (by: string) =>
    (await harness.call<{ items: { targetId: string }[] }>('GET', `audit?action=key.refused&target=${by}`)).body.items;

  it('are slowed by address, say for how long, and are in the audit log once', async () => {
    for (let tries = 0; tries < 20; tries++) expect((await me(badKey())).status).toBe(401);
    for (let tries = 0; tries < 5; tries++) {
      const slowed = await me(badKey());
      expect(slowed.status).toBe(429);
      expect(slowed.headers.get('retry-after')).toBe('2');
      expect(slowed.body).toMatchObject({ code: 'tooManyTries', detail: 'Too many keys were refused' });
    }
    nowMs += 2000;
    expect((await me(badKey())).status).toBe(401);
    expect((await me(badKey())).status).toBe(429);
    expect(await auditOf('address')).toMatchObject([{ targetId: '127.0.0.1' }]);
  });

  it('do not slow good keys of the same address, whether they were used before or not', async () => {
    const fresh = await harness.key(['view']);
    for (let tries = 0; tries < 30; tries++) await me(badKey());
    expect((await me(badKey())).status).toBe(429);
    expect((await me(harness.token)).status).toBe(200);
    expect((await me(fresh)).status).toBe(200);
  });

  it('that guess at one key are slowed whoever asks, except the one who has it', async () => {
    const used = await harness.key(['view']);
    expect((await me(used)).status).toBe(200);
    const id = used.slice(4, 24);
    for (let tries = 0; tries < 10; tries++) expect((await me(badKey(id))).status).toBe(401);
    const slowed = await me(badKey(id));
    expect(slowed.status).toBe(429);
    expect(slowed.headers.get('retry-after')).toBe('5');
    expect((await me(used)).status).toBe(200);
    expect(await auditOf('key')).toMatchObject([{ targetId: `wlk_${id}` }]);
    expect(JSON.stringify(await auditOf('key'))).not.toContain(used);
  });

  it('that were good once, and are revoked, are slowed as well', async () => {
    const made = await harness.call<{ id: string; token: string }>('POST', 'keys', { body: { name: 'short-lived' } });
    expect((await me(made.body.token)).status).toBe(200);
    await harness.call('DELETE', 'keys/short-lived');
    for (let tries = 0; tries < 10; tries++) expect((await me(made.body.token)).body.detail).toContain('was revoked');
    expect((await me(made.body.token)).status).toBe(429);
  });
});

it('does not remember more than its limit, and forgets the oldest first', () => {
  const badKeys = createBadKeys(() => 0);
  const slow = badKey();
  for (let tries = 0; tries < 10; tries++) badKeys.refused(slow, '10.0.0.1');
  expect(badKeys.waitMs(slow)).toBeGreaterThan(0);
  for (let other = 0; other < 10_000; other++) badKeys.refused(badKey(), `10.1.${other >> 8}.${other & 255}`);
  expect(badKeys.waitMs(slow)).toBe(0);
});

it.each([
  ['127.0.0.1', '127.0.0.1'],
  ['::ffff:10.0.0.7', '10.0.0.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('counts %s as %s', (address, counted) => {
  expect(countedAddress(address)).toBe(counted);
});
