import { deflateRawSync } from 'node:zlib';
import { planAction, parsePlanJson } from './plan-json.ts';
import { planState, readZipEntry } from './plan-file.ts';

const state = { serial: 3, lineage: 'l' };

function change(actions: string[], more: object = {}) {
  return {
    address: `x_y.${actions.join('_')}`,
    type: 'x_y',
    mode: 'managed',
    change: { actions, before: null, after: null, ...more },
  };
}

test('changes are counted as people count them', () => {
  const { plan } = parsePlanJson(
    {
      resource_changes: [
        change(['create']),
        change(['update']),
        change(['delete']),
        change(['delete', 'create']),
        change(['create', 'delete']),
        change(['no-op']),
        { ...change(['read']), mode: 'data' },
      ],
    },
    { hasChanges: true, state },
  );
  expect(plan.counts).toEqual({ add: 3, change: 1, destroy: 3 });
  expect(plan.resources.map((resource) => resource.action)).toEqual([
    'create',
    'update',
    'delete',
    'replace',
    'replace',
    'read',
  ]);
  expect(plan.state).toBe(state);
});

test('what the tool calls sensitive is nowhere, and what it does not know is said', () => {
  const parsed = parsePlanJson(
    {
      prior_state: { values: 'TOPSECRET' },
      variables: { password: { value: 'TOPSECRET' } },
      configuration: { secret: 'TOPSECRET' },
      resource_changes: [
        change(['update'], {
          before: { name: 'n', password: 'TOPSECRET', nested: [{ key: 'TOPSECRET', open: 1 }], same: 1 },
          after: { name: 'm', password: 'TOPSECRET', nested: [{ key: 'TOPSECRET', open: 2 }], same: 1 },
          before_sensitive: { password: true, nested: [{ key: true }] },
          after_sensitive: { password: true, nested: [{ key: true }] },
          after_unknown: { id: true, nested: [{}] },
        }),
      ],
      output_changes: {
        o: { actions: ['create'], before: null, after: 'TOPSECRET', before_sensitive: true, after_sensitive: true },
      },
    },
    { hasChanges: true, state: null },
  );
  expect(JSON.stringify(parsed)).not.toContain('TOPSECRET');
  expect(parsed.plan.resources[0]).toMatchObject({
    before: { name: 'n', nested: [{ key: '(sensitive value)', open: 1 }] },
    after: { name: 'm', id: '(known after apply)', nested: [{ key: '(sensitive value)', open: 2 }] },
  });
  expect(parsed.plan.resources[0]?.before).not.toHaveProperty('same');
});

test('records of huge values stay small', () => {
  const { plan } = parsePlanJson(
    {
      resource_changes: [
        change(['create'], {
          after: { text: 'x'.repeat(1_000_000), list: Array.from({ length: 10_000 }, (_, i) => i) },
        }),
      ],
    },
    { hasChanges: true, state: null },
  );
  expect(JSON.stringify(plan).length).toBeLessThan(10_000);
});

test('an action that is not known yet is no change', () => {
  expect(planAction(['forget'])).toBe('noop');
  expect(planAction([])).toBe('noop');
});

function zip(name: string, text: string, method: 0 | 8): Buffer {
  const data = method === 8 ? deflateRawSync(text) : Buffer.from(text);
  const local = Buffer.alloc(30);
  local.writeUInt16LE(name.length, 26);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt16LE(method, 10);
  entry.writeUInt32LE(data.length, 20);
  entry.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(30 + name.length + data.length, 16);
  return Buffer.concat([local, Buffer.from(name), data, entry, Buffer.from(name), end]);
}

test('serial and lineage are read out of a plan file, whatever its bytes', () => {
  const text = JSON.stringify({ version: 4, serial: 12, lineage: 'abc', resources: [] });
  expect(planState(zip('tfstate', text, 8))).toEqual({ serial: 12, lineage: 'abc' });
  expect(planState(zip('tfstate', text, 0))).toEqual({ serial: 12, lineage: 'abc' });
  expect(planState(zip('other', text, 0))).toBeNull();
  expect(planState(zip('tfstate', 'no json', 0))).toBeNull();
  expect(readZipEntry(Buffer.from('an encrypted plan'), 'tfstate')).toBeNull();
  const damaged = zip('tfstate', text, 8);
  damaged.writeUInt32LE(0xfffffff0, damaged.length - 6);
  expect(planState(damaged)).toBeNull();
});
