import { openDatabase, readPaces, recordThrottle } from '../../store/index.ts';
import type { Database } from '../../store/index.ts';
import type { EffectiveVariable, Source } from '../../model/index.ts';
import { isThrottle, pacerOf } from './pacing.ts';

const source: Source = { kind: 'git', repository: 'https://git.example/shop.git', path: 'eks' };
const variable = (name: string, value: string, kind: EffectiveVariable['kind'] = 'environment'): EffectiveVariable => {
  return { name, kind, type: 'text', value, sensitive: false, level: 'project', overrides: [] };
};
const keyOf = (project: string, variables: EffectiveVariable[], from: Source = source): string =>
  pacerOf(project, { source: from, type: 'opentofu' }, { variables }).key;

describe('whom calls are counted for', () => {
  it('is the account, whatever the code, when an environment variable names it', () => {
    const other: Source = { ...source, repository: 'https://git.example/other.git' };
    const account = [variable('AWS_PROFILE', 'production')];
    expect(keyOf('p1', account)).toBe(keyOf('p1', account, other));
    expect(keyOf('p1', account)).not.toBe(keyOf('p1', [variable('AWS_PROFILE', 'test')]));
    expect(keyOf('p1', account)).not.toBe(keyOf('p2', account));
    expect(keyOf('p1', account)).not.toContain('production');
  });

  it.each([
    ['AWS_PROFILE', false, 'the account AWS_PROFILE=of-alice'],
    ['AWS_PROFILE', true, 'the account of AWS_PROFILE'],
    ['DIGITALOCEAN_TOKEN', false, 'the account of DIGITALOCEAN_TOKEN'],
    ['AWS_ACCESS_KEY_ID', false, 'the account of AWS_ACCESS_KEY_ID'],
    ['OTHER', false, 'the account of its source'],
  ])('is told to people without anything that could be a secret: %s, sensitive %s', (name, sensitive, account) => {
    const variables = [{ ...variable(name, 'of-alice'), sensitive }];
    expect(pacerOf('p1', { source, type: 'opentofu' }, { variables }).account).toBe(account);
  });

  it('is the source otherwise; tool variables name no account', () => {
    expect(keyOf('p1', [variable('AWS_PROFILE', 'production', 'tool')])).toBe(keyOf('p1', []));
    expect(keyOf('p1', [])).toBe(keyOf('p1', [], { ...source, path: 'vpc' }));
    expect(keyOf('p1', [])).not.toBe(keyOf('p1', [], { kind: 'local', directory: '/srv/shop', path: '.' }));
  });
});

it.each([
  ['quota', 'Throttling: Rate exceeded', true],
  ['quota', 'RequestLimitExceeded: Request limit exceeded.', true],
  ['quota', "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'", true],
  ['quota', 'googleapi: Error 429: Too Many Requests', true],
  ['quota', 'VpcLimitExceeded: The maximum number of VPCs has been reached.', false],
  ['tool', 'the rate is too high', false],
] as const)(
  'tells a service that asks for slower calls from a quota that is used up: %s %s',
  (kind, message, throttled) => {
    expect(isThrottle({ class: kind, message })).toBe(throttled);
  },
);

describe('the wait of an account', () => {
  let db: Database;
  const rule = { firstMs: 1000, longestMs: 600_000, resetAfterMs: 600_000 };
  const past = (key: string, ms: number): Promise<unknown> =>
    db.sql
      .updateTable('pacing')
      .set({ until: new Date(Date.now() - ms) })
      .where('key', '=', key)
      .execute();
  beforeAll(async () => {
    db = await openDatabase({ kind: 'pglite', directory: null });
  });
  afterAll(() => db.close());

  it('is one for all that are throttled at the same time, and is known to the others', async () => {
    const first = await recordThrottle(db.sql, 'a', rule);
    const second = await recordThrottle(db.sql, 'a', rule);
    expect([first.strikes, second.strikes]).toEqual([1, 1]);
    expect(second.waitMs).toBeLessThanOrEqual(first.waitMs);
    const paces = await readPaces(db.sql);
    expect(paces.get('a')).toBeGreaterThan(0);
    expect(paces.has('b')).toBe(false);
  });

  it('doubles when it was not enough, up to a limit, and begins anew after a calm time', async () => {
    const waits: number[] = [];
    for (let strike = 1; strike <= 11; strike++) {
      const pace = await recordThrottle(db.sql, 'c', rule);
      expect(pace.strikes).toBe(strike);
      waits.push(Math.round(pace.waitMs / 1000));
      await past('c', 1);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600]);
    await past('c', rule.resetAfterMs + 1000);
    expect((await recordThrottle(db.sql, 'c', rule)).strikes).toBe(1);
  });
});
