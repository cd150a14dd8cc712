import fc from 'fast-check';
import type { ExpiringNode } from './node-expiry.ts';
import { currentNotice, heldByDependents, nodeExpiryAfterRun, nodeExpirySteps, nodeTtl } from './node-expiry.ts';
import type { SelectableNode } from './run-selection.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const now = Date.parse('2026-03-01T12:00:00Z');
const hours = (count: number) => ({ kind: 'hours', hours: count }) as const;

describe('the time to live of a node', () => {
  it('is what a person set, else what the file says, else none', () => {
    expect(nodeTtl({ saved: hours(4), fileSeconds: 7200 }, now)).toEqual(hours(4));
    expect(nodeTtl({ saved: { kind: 'unlimited' }, fileSeconds: 7200 }, now)).toEqual({ kind: 'unlimited' });
    expect(nodeTtl({ saved: undefined, fileSeconds: 7200 }, now)).toEqual(hours(2));
    expect(nodeTtl({ saved: undefined, fileSeconds: null }, now)).toBeUndefined();
  });

  it('is the one of the file again when the date that was set has passed', () => {
    const saved = { kind: 'date', at: new Date(now).toISOString() } as const;
    expect(nodeTtl({ saved, fileSeconds: 7200 }, now - 1)).toEqual(saved);
    expect(nodeTtl({ saved, fileSeconds: 7200 }, now)).toEqual(hours(2));
  });
});

describe('the end of a node after a run', () => {
  const run = { restarts: true, endedAtMs: now };
  const deployed = { expiresAtMs: null, ttl: hours(2), deployed: true, exists: true };

  it('counts from the end of the run that has deployed it, and never beyond the maximum', () => {
    expect(nodeExpiryAfterRun(deployed, run)).toBe(now + 2 * hourMs);
    expect(nodeExpiryAfterRun({ ...deployed, expiresAtMs: now - 1 }, run)).toBe(now + 2 * hourMs);
    expect(nodeExpiryAfterRun(deployed, run, { maximumTtlHours: 1 })).toBe(now + hourMs);
    expect(nodeExpiryAfterRun({ ...deployed, ttl: undefined }, run, { maximumTtlHours: 1 })).toBeNull();
  });

  it('stays when the run has not deployed it, or does not begin its hours anew', () => {
    const ending = { ...deployed, expiresAtMs: now + minuteMs };
    expect(nodeExpiryAfterRun({ ...ending, deployed: false }, run)).toBe(now + minuteMs);
    expect(nodeExpiryAfterRun(ending, { ...run, restarts: false })).toBe(now + minuteMs);
  });

  it('begins with the first run that leaves something there, though it failed', () => {
    expect(nodeExpiryAfterRun({ ...deployed, deployed: false }, run)).toBe(now + 2 * hourMs);
  });

  it('is gone with the node, or with its time to live', () => {
    expect(nodeExpiryAfterRun({ ...deployed, expiresAtMs: now, exists: false }, run)).toBeNull();
    expect(nodeExpiryAfterRun({ ...deployed, expiresAtMs: now, ttl: undefined }, run)).toBeNull();
    expect(nodeExpiryAfterRun({ ...deployed, expiresAtMs: now, ttl: { kind: 'unlimited' } }, run)).toBeNull();
  });
});

const ending = (alias: string, inMs: number, more: Partial<ExpiringNode> = {}): ExpiringNode => ({
  alias,
  expiresAtMs: now + inMs,
  notice: null,
  scheduled: false,
  ...more,
});
const standing = (alias: string, needs: readonly string[] = [], live = true): SelectableNode => ({
  alias,
  needs,
  disabled: false,
  live,
});

describe('what is due', () => {
  const graph = [standing('db'), standing('app', ['db']), standing('web', ['app'])];

  it('is waited for, with one warning of each that a person was not given for this end', () => {
    const steps = nodeExpirySteps([ending('db', hourMs)], graph, now);
    expect(steps).toMatchObject({ destroy: [], held: [], nextMs: now + 30 * minuteMs });
    expect(steps.warn).toMatchObject([{ alias: 'db', remainingMs: hourMs }]);
    const [told] = steps.warn;
    const again = nodeExpirySteps([ending('db', hourMs, { notice: told?.notice ?? null })], graph, now);
    expect(again).toEqual({ warn: [], destroy: [], held: [], nextMs: now + 30 * minuteMs });
  });

  it('goes before what it needs, one after the other', () => {
    const all = [ending('db', 0), ending('app', 0), ending('web', 0)];
    expect(nodeExpirySteps(all, graph, now)).toMatchObject({ destroy: ['web'], held: [] });
    const rest = [standing('db'), standing('app', ['db']), standing('web', ['app'], false)];
    expect(nodeExpirySteps(all.slice(0, 2), rest, now)).toMatchObject({ destroy: ['app'], held: [] });
  });

  it('is held by what stands on it and stays, also through what is gone, and tells who that is', () => {
    expect(nodeExpirySteps([ending('db', 0)], graph, now)).toMatchObject({
      destroy: [],
      held: [{ alias: 'db', by: ['app'] }],
      nextMs: now + hourMs,
    });
    expect(nodeExpirySteps([ending('db', 0), ending('app', 0)], graph, now).held).toEqual([
      { alias: 'db', by: ['app'] },
      { alias: 'app', by: ['web'] },
    ]);
    const between = [standing('db'), standing('app', ['db'], false), standing('web', ['app'])];
    expect(nodeExpirySteps([ending('db', 0)], between, now).held).toEqual([{ alias: 'db', by: ['web'] }]);
    expect(heldByDependents('shop', { alias: 'db', by: ['app'], expiresAtMs: now })).toBe(
      '"db" expired at 2026-03-01T12:00:00.000Z, and "app" still needs it: destroy what needs it first (windlass destroy "shop/app"), or extend (windlass ttl extend "shop/db" 4h)',
    );
  });

  it('is not asked for a second time while its destroy is queued or runs', () => {
    expect(nodeExpirySteps([ending('web', 0, { scheduled: true })], graph, now)).toMatchObject({
      destroy: [],
      held: [],
    });
  });

  it('has a notice of its own: what was told of an earlier end says only which warnings lie behind', () => {
    const notice = { expiresAtMs: now, warnedMs: [2 * dayMs, 2 * hourMs], held: 'app needs it' };
    expect(currentNotice(ending('db', 0, { notice }), now)).toBe(notice);
    expect(currentNotice(ending('db', dayMs, { notice }), now)).toEqual({
      expiresAtMs: now + dayMs,
      warnedMs: [2 * dayMs],
      held: null,
    });
  });
});

/** Graphs of up to nine nodes in which each needs some of those before it. */
const graphs = fc
  .array(fc.record({ needs: fc.array(fc.nat(8), { maxLength: 3 }), live: fc.boolean(), due: fc.boolean() }), {
    minLength: 1,
    maxLength: 9,
  })
  .map((nodes) =>
    nodes.map(({ needs, live, due }, index) => ({
      ...standing(`n${index}`, [...new Set(needs.filter((need) => need < index).map((need) => `n${need}`))], live),
      due: due && live,
    })),
  );

describe('of any graph', () => {
  it('what is destroyed has nothing standing on it, and round after round all goes that nothing holds', () => {
    fc.assert(
      fc.property(graphs, (start) => {
        let graph = start;
        const gone = new Set<string>();
        const { held } = nodeExpirySteps(
          graph.filter(({ due }) => due).map(({ alias }) => ending(alias, 0)),
          graph,
          now,
        );
        for (let round = 0; round <= start.length; round++) {
          const due = graph.filter((node) => node.due && !gone.has(node.alias)).map(({ alias }) => ending(alias, 0));
          const { destroy } = nodeExpirySteps(due, graph, now);
          for (const alias of destroy) {
            const above = graph.filter((node) => node.live && node.needs.includes(alias));
            expect(above).toEqual([]);
            gone.add(alias);
          }
          graph = graph.map((node) => (gone.has(node.alias) ? { ...node, live: false } : node));
        }
        const stayed = start.filter((node) => node.due && !gone.has(node.alias)).map(({ alias }) => alias);
        expect(stayed.sort()).toEqual(held.map(({ alias }) => alias).sort());
      }),
    );
  });
});
