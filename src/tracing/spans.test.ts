import { currentTraceparent, endRunSpan, inSpan, parseTraceparent, runSpan, setSpanSink } from './spans.ts';
import type { EndedSpan } from './spans.ts';

const spans: EndedSpan[] = [];
beforeEach(() => {
  spans.length = 0;
  setSpanSink({ take: (span) => void spans.push(span), stop: () => Promise.resolve() });
});
afterEach(() => setSpanSink(null));

const traceId = '0af7651916cd43dd8448eb211c80319c';
const traceparent = `00-${traceId}-b7ad6b7169203331-01`;

it('keeps spans that are open at once apart, and those inside each other together', async () => {
  const branch = (name: string) =>
    inSpan(name, { parent: null }, () => inSpan(`${name} inside`, {}, () => Promise.resolve(currentTraceparent())));
  const [left, right] = await Promise.all([branch('left'), branch('right')]);
  const named = (name: string): EndedSpan | undefined => spans.find((span) => span.name === name);
  expect(named('left inside')).toMatchObject({ parentSpanId: named('left')?.spanId, traceId: named('left')?.traceId });
  expect(left).toBe(`00-${named('left')?.traceId}-${named('left inside')?.spanId}-01`);
  expect(parseTraceparent(left)?.traceId).not.toBe(parseTraceparent(right)?.traceId);
  expect(currentTraceparent()).toBeNull();
});

it('says that a span has failed, but not the text of the error', async () => {
  await expect(
    inSpan('fails', {}, () => {
      throw new TypeError('password=hunter2');
    }),
  ).rejects.toThrow('hunter2');
  expect(spans[0]).toMatchObject({ name: 'fails', error: 'TypeError' });
  expect(JSON.stringify(spans)).not.toContain('hunter2');
});

it('gives a run one span, whoever asks, and a trace of its own when nobody requested it', () => {
  expect(runSpan('dep_1', traceparent)).toMatchObject({ traceId, parent: { spanId: 'b7ad6b7169203331' } });
  expect(runSpan('dep_1', null)).toEqual(runSpan('dep_1', 'nonsense'));
  expect(runSpan('dep_1', null).spanId).toBe(runSpan('dep_1', traceparent).spanId);
  expect(runSpan('dep_1', null).spanId).not.toBe(runSpan('dep_2', null).spanId);
  endRunSpan({ deploymentId: 'dep_1', traceparent, startMs: 1, endMs: 2, attributes: {}, error: null });
  expect(spans[0]).toMatchObject({ parentSpanId: 'b7ad6b7169203331', spanId: runSpan('dep_1', null).spanId });
});

it('takes only a traceparent that is one', () => {
  expect(parseTraceparent(traceparent)).toEqual({ traceId, spanId: 'b7ad6b7169203331' });
  for (const wrong of [null, undefined, '', 'x', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`, traceparent.slice(0, 40)])
    expect(parseTraceparent(wrong)).toBeNull();
});

it('does nothing when nobody takes spans', async () => {
  setSpanSink(null);
  expect(await inSpan('nothing', {}, () => currentTraceparent())).toBeNull();
  expect(spans).toEqual([]);
});
