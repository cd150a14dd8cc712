/** Small decisions: durations, approval, retry, hashes, paths, patterns, words. */
import fc from 'fast-check';
import { approvalNeeded, approvalSettings, insideBounds, insideEnvelope, waiverRefusal } from './approval.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { canonicalJson, inputHash } from './input-hash.ts';
import { interpolate } from './interpolation.ts';
import { formatProblem, formatProblems } from './problems.ts';
import { retryDecision } from './retry.ts';
import { checkSourcePath } from './source-path.ts';
import { didYouMean, listed, nearest, quote } from './text.ts';
import type { ErrorClass, Plan, ResourceAction } from '../model/index.ts';
import { errorClasses } from '../model/index.ts';

describe('durations', () => {
  it.each([
    ['30s', 30],
    ['10m', 600],
    ['2h', 7200],
    ['1d', 86_400],
    ['1d2h3m4s', 93_784],
    [' 5m ', 300],
  ])('%s', (text, seconds) => {
    expect(parseDuration(text)).toEqual({ seconds, problem: null });
  });

  it.each(['', '-1s', '1.5h', '1h 30m', '1H', '1h1h', 's', '99999d', '1_000s'])('not "%s"', (text) => {
    expect(parseDuration(text)).toMatchObject({
      seconds: null,
      problem: expect.stringContaining(`${quote(text)} is not a duration: `),
    });
  });

  it('are written with the two largest units', () => {
    expect([0, 59, 60, 3661, 86_400, 1_300_000].map(formatDuration)).toEqual([
      '0s',
      '59s',
      '1m',
      '1h 1m',
      '1d',
      '15d 1h',
    ]);
  });
});

describe('approval', () => {
  it('is decided by the first that says something', () => {
    const order = ['request', 'file', 'saved'] as const;
    const says = fc.constantFrom(undefined, true, false);
    fc.assert(
      fc.property(
        fc.record({ request: says, file: says, saved: says }),
        fc.constantFrom(undefined, false),
        (sources, customFlow) => {
          const first = order.map((key) => sources[key]).find((value) => value !== undefined);
          expect(approvalNeeded({ ...sources, customFlow, mayWaive: true }).needed).toBe(first ?? false);
        },
      ),
    );
  });

  const says = fc.constantFrom(undefined, true, false);
  const anySources = fc.record({
    customFlow: says,
    policy: says,
    request: says,
    mayWaive: says,
    file: says,
    saved: says,
  });

  it('is never weakened by a request that may not waive it, and never by one at all when a flow or a policy asks', () => {
    fc.assert(
      fc.property(anySources, (sources) => {
        const demanded = approvalNeeded({ ...sources, request: undefined }).needed;
        const { needed } = approvalNeeded(sources);
        if (demanded && sources.mayWaive !== true) expect(needed).toBe(true);
        if (sources.customFlow === true || sources.policy === true) expect(needed).toBe(true);
        if (demanded && !needed) expect(sources).toMatchObject({ request: false, mayWaive: true });
      }),
    );
  });

  it('can be asked for by anybody', () => {
    fc.assert(
      fc.property(anySources, (sources) => {
        expect(approvalNeeded({ ...sources, request: true }).needed).toBe(true);
      }),
    );
  });

  it('says why', () => {
    expect(approvalNeeded({ request: false, file: true, mayWaive: true })).toEqual({
      needed: false,
      because: 'the request waived it',
    });
    expect(approvalNeeded({ request: false, file: true })).toEqual({
      needed: true,
      because: 'the workflow file requires it, and the request may not waive it',
    });
    expect(approvalNeeded({ saved: true })).toEqual({ needed: true, because: 'the saved settings require it' });
    expect(approvalNeeded({})).toEqual({ needed: false, because: 'nothing asks for it' });
  });
});

describe('waiving an approval', () => {
  const settings = fc.record({
    requiresApproval: fc.constantFrom(undefined, true, false),
    requiredApprovals: fc.integer({ min: 1, max: 3 }),
    forbidSelfApproval: fc.boolean(),
    approvalExpirySeconds: fc.integer({ min: 60, max: 1000 }),
  });

  it('takes the permission to approve, and nobody beside oneself who has to', () => {
    fc.assert(
      fc.property(fc.boolean(), settings, settings, (mayApprove, node, whole) => {
        const combined = approvalSettings(node, whole);
        const refused = waiverRefusal(mayApprove, combined) !== null;
        const strict = [node, whole].some((one) => one.forbidSelfApproval || one.requiredApprovals > 1);
        expect(refused).toBe(!mayApprove || strict);
      }),
    );
  });

  it('is held against the settings of the whole, which a node may only make stricter', () => {
    const node = {
      requiresApproval: false,
      requiredApprovals: 1,
      forbidSelfApproval: false,
      approvalExpirySeconds: 60,
    };
    const whole = { requiresApproval: true, requiredApprovals: 2, forbidSelfApproval: true, approvalExpirySeconds: 90 };
    expect(approvalSettings(node, whole)).toEqual({ ...whole, requiresApproval: false, approvalExpirySeconds: 60 });
    expect(approvalSettings({ ...node, requiresApproval: undefined }, whole).requiresApproval).toBe(true);
  });
});

describe('bounds that people gave', () => {
  const plan = (adds: number): Plan => ({
    hasChanges: true,
    state: null,
    resources: Array.from({ length: adds }, (_, i) => ({ address: `a.r${i}`, type: 'a', action: 'create' as const })),
    counts: { add: adds, change: 0, destroy: 0 },
  });
  const bounds = (by: string, maxChanges: number) => ({ by, envelope: { maxChanges, maxDestroys: 0 } });

  it('count as the approval of each who gave them, the last of each', () => {
    const two = { required: 2, barred: null };
    expect(insideBounds(plan(1), [bounds('ann', 5)], two)).toEqual({
      inside: false,
      because: '2 people have to approve it, and 1 of them gave bounds for it',
    });
    expect(insideBounds(plan(1), [bounds('ann', 5), bounds('ann', 6)], two).inside).toBe(false);
    expect(insideBounds(plan(1), [bounds('ann', 5), bounds('ben', 6)], two).inside).toBe(true);
    expect(insideBounds(plan(6), [bounds('ann', 5), bounds('ben', 6)], two)).toEqual({
      inside: false,
      because: 'it makes 6 changes, and 5 may be made',
    });
    expect(insideBounds(plan(6), [bounds('ann', 9), bounds('ann', 5)], { required: 1, barred: null }).inside).toBe(
      false,
    );
  });

  it('do not count for who may not approve', () => {
    expect(insideBounds(plan(1), [bounds('ann', 5)], { required: 1, barred: 'ann' })).toEqual({
      inside: false,
      because: 'nobody who may approve it gave bounds for it',
    });
  });

  it('never cover a plan that fewer than the required people have bounded so', () => {
    const given = fc.array(fc.record({ by: fc.constantFrom('a', 'b', 'c', 'd'), most: fc.nat(4) }), { maxLength: 8 });
    fc.assert(
      fc.property(given, fc.nat(4), fc.integer({ min: 1, max: 4 }), (list, adds, required) => {
        const all = list.map(({ by, most }) => bounds(by, most));
        const covering = new Set(
          ['a', 'b', 'c'].filter((by) => (all.findLast((one) => one.by === by)?.envelope.maxChanges ?? -1) >= adds),
        );
        expect(insideBounds(plan(adds), all, { required, barred: 'd' }).inside).toBe(covering.size >= required);
      }),
    );
  });
});

describe('an envelope', () => {
  const plan = (actions: readonly ResourceAction[], counts?: Partial<Plan['counts']>): Plan => ({
    hasChanges: true,
    state: null,
    resources: actions.map((action, i) => ({ address: `aws_db.r${i}`, type: 'aws_db', action })),
    counts: {
      add: actions.filter((action) => action === 'create').length,
      change: actions.filter((action) => action === 'update').length,
      destroy: actions.filter((action) => action === 'delete').length,
      ...counts,
    },
  });

  it.each([
    [
      'covers what is inside',
      plan(['create', 'update', 'noop', 'read']),
      { maxDestroys: 0, maxChanges: 2, allowedTypes: ['aws_db'] },
      true,
      'the plan is inside the bounds that were approved for the run',
    ],
    [
      'covers a plan that does nothing',
      { ...plan(['delete']), hasChanges: false },
      { maxDestroys: 0 },
      true,
      'the plan changes nothing',
    ],
    [
      'counts a replacement as a destroy',
      plan(['replace']),
      { maxDestroys: 0 },
      false,
      'it destroys 1 resource, and 0 may be destroyed: aws_db.r0',
    ],
    [
      'trusts a larger count of destroys',
      plan([], { destroy: 2 }),
      { maxDestroys: 1 },
      false,
      'it destroys 2 resources, and 1 may be destroyed',
    ],
    [
      'counts changes',
      plan(['create', 'create', 'update']),
      { maxDestroys: 0, maxChanges: 2 },
      false,
      'it makes 3 changes, and 2 may be made',
    ],
    [
      'checks types',
      plan(['create']),
      { maxDestroys: 0, allowedTypes: ['aws_vpc'] },
      false,
      'it changes aws_db.r0, and the type "aws_db" is not among the approved ones',
    ],
    [
      'asks when types are not known',
      plan([], { add: 1 }),
      { maxDestroys: 0, allowedTypes: ['aws_db'] },
      false,
      'it does not name every resource it changes, so their types cannot be checked',
    ],
  ] as const)('%s', (_, given, envelope, inside, because) => {
    expect(
      insideEnvelope(given, {
        ...envelope,
        allowedTypes: 'allowedTypes' in envelope ? [...envelope.allowedTypes] : undefined,
      }),
    ).toEqual({ inside, because });
  });
});

describe('retry', () => {
  const rule = { maximum: 3, intervalSeconds: 10, backoff: 2 };
  const failed = (overrides: { class?: ErrorClass; message?: string; try?: number } = {}) => ({
    class: 'provider' as ErrorClass,
    message: 'rate limit exceeded',
    try: 1,
    ...overrides,
  });

  it('waits longer each time, a day at most', () => {
    expect([1, 2, 3].map((count) => retryDecision(rule, failed({ try: count })))).toEqual(
      [10_000, 20_000, 40_000].map((afterMs) => ({ retry: true, afterMs })),
    );
    expect(retryDecision({ maximum: 20, intervalSeconds: 86_400, backoff: 10 }, failed({ try: 20 }))).toEqual({
      retry: true,
      afterMs: 86_400_000,
    });
  });

  it('ends', () => {
    expect(retryDecision(rule, failed({ try: 4 }))).toEqual({ retry: false, because: 'all 3 retries are used up' });
    expect(retryDecision(null, failed())).toEqual({ retry: false, because: 'no retries are set' });
  });

  it('is for what can pass by itself', () => {
    expect(errorClasses.filter((one) => retryDecision(rule, failed({ class: one })).retry)).toEqual([
      'quota',
      'lock',
      'provider',
      'tool',
      'timeout',
    ]);
    expect(retryDecision({ ...rule, classes: ['credentials'] }, failed({ class: 'credentials' }))).toEqual({
      retry: false,
      because: 'a credentials error does not pass by itself',
    });
    expect(retryDecision({ ...rule, classes: ['quota'] }, failed())).toEqual({
      retry: false,
      because: 'only quota errors are retried, and this is a provider error',
    });
  });

  it('may look at the message', () => {
    expect(retryDecision({ ...rule, onlyWhenMatches: 'rate.limit' }, failed()).retry).toBe(true);
    expect(retryDecision({ ...rule, onlyWhenMatches: 'quota' }, failed())).toEqual({
      retry: false,
      because: 'the message does not match "quota"',
    });
    expect(
      retryDecision({ ...rule, onlyWhenMatches: 'the end$' }, failed({ message: `${'x'.repeat(50_000)}the end` }))
        .retry,
    ).toBe(true);
    expect(retryDecision({ ...rule, onlyWhenMatches: '(x+)+y' }, failed({ message: 'x'.repeat(5000) }))).toMatchObject({
      because: 'the message does not match "(x+)+y"',
    });
  });
});

describe('input hash', () => {
  it('does not depend on the order of keys', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const turned = Object.fromEntries(Object.entries(value).reverse());
        expect(canonicalJson(turned)).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('depends on everything else', () => {
    const texts = [
      { a: 1 },
      { a: '1' },
      { a: [1] },
      { a: null },
      {},
      { b: 1 },
      [1, 2],
      [2, 1],
      { __proto__x: 1 },
      JSON.parse('{"__proto__":1}'),
    ];
    expect(new Set(texts.map(inputHash)).size).toBe(texts.length);
    expect(inputHash({ a: undefined })).toBe(inputHash({}));
    expect(inputHash({ a: 1 })).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('paths in a source', () => {
  it('stay inside', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('..', '.', 'a', 'b', ''), { maxLength: 8 }), (parts) => {
        let depth = 0;
        let left = false;
        for (const part of parts) {
          if (part === '..') depth--;
          else if (part !== '.' && part !== '') depth++;
          left ||= depth < 0;
        }
        const { path } = checkSourcePath(parts.join('/'));
        if (path !== null) expect(path.startsWith('..') || path.startsWith('/')).toBe(false);
        if (!left && !parts.join('/').startsWith('/')) expect(path).not.toBeNull();
      }),
    );
  });

  it.each(['C:/x', 'C:x', '~/x', '~root', '//x', 'a/../../b', 'a\\b'])('not %s', (path) => {
    expect(checkSourcePath(path).path).toBeNull();
  });
});

describe('words', () => {
  it('finds what was meant', () => {
    const known = ['needs', 'name', 'templateName', 'requiresApproval', 'eks', 'DB'];
    expect(
      ['need', 'nmae', 'templatename', 'requireApproval', 'ek', 'db', 'vcs'].map((word) => nearest(word, known)[0]),
    ).toEqual(['needs', 'name', 'templateName', 'requiresApproval', 'eks', 'DB', undefined]);
    expect(didYouMean('a', ['b'])).toBe('');
  });

  it('lists and quotes', () => {
    expect([
      listed([]),
      listed(['a']),
      listed(['a', 'b']),
      listed(['a', 'b', 'c'], 'and'),
      listed(['a', 'b', 'c', 'd'], 'and', 3),
    ]).toEqual(['', 'a', 'a or b', 'a, b and c', 'a, b and 2 more']);
    expect(quote('a"b\u001b[31m\u202e')).toBe('"a\\"b\\u001b[31m\\u202e"');
    expect(quote('x'.repeat(300))).toHaveLength(82);
  });
});

describe('problems', () => {
  it('are printed with their place', () => {
    expect(formatProblem({ message: 'm', file: 'a.yml', line: 12, column: 11 })).toBe('a.yml:12:11  error  m');
    expect(formatProblem({ message: 'm', file: 'a.yml' })).toBe('a.yml  error  m');
    expect(formatProblem({ message: 'm', path: 'variables.x' })).toBe('variables.x  error  m');
    expect(formatProblem({ message: 'm' })).toBe('error  m');
  });

  it('stand in columns', () => {
    expect(
      formatProblems([
        { message: 'm', file: 'a.yml', line: 2, column: 1 },
        { message: 'n', file: 'a.yml', line: 12, column: 11 },
      ]),
    ).toEqual(['a.yml:2:1    error  m', 'a.yml:12:11  error  n']);
  });
});

describe('interpolation', () => {
  it('puts values in once, and never reads them again', () => {
    expect(interpolate('${A}-${B}', { A: '${B}', B: 'b' })).toEqual({ text: '${B}-b', unresolved: [], problems: [] });
    expect(interpolate('${A} ${toString} ${A}', {})).toEqual({
      text: '${A} ${toString} ${A}',
      unresolved: ['A', 'toString'],
      problems: [],
    });
    expect(interpolate('$A {B} $$ $${C}', { C: 'c' }).text).toBe('$A {B} $$ ${C}');
  });

  it('leaves an open text as it is', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('$${', '${A}', '$', 'x', '}', ' '), { maxLength: 10 }), (pieces) => {
        const text = pieces.join('').replace(/\$\$\$/g, '');
        const { text: result, problems } = interpolate(text, undefined);
        if (problems.length === 0) expect(result).toBe(text);
      }),
    );
  });
});
