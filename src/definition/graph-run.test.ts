import fc from 'fast-check';
import type { NodeUpdate, RunNode } from '../model/orchestration.ts';
import { compensationGraph } from './compensation-graph.ts';
import { GraphRun } from './graph-run.ts';

/** `a b:a c:a,b` → nodes in that order. */
function graph(text: string, over: Partial<Record<string, Partial<RunNode>>> = {}): RunNode[] {
  const parts = text.split(' ').map((part) => part.split(':'));
  const aliases = parts.map(([alias]) => alias ?? '');
  return parts.map(([alias = '', needs = '']) => ({
    alias,
    action: 'deploy' as const,
    needs: needs === '' ? [] : needs.split(',').map((need) => aliases.indexOf(need)),
    ...over[alias],
  }));
}

function open(nodes: RunNode[], maxParallel = 100): GraphRun {
  return new GraphRun(nodes, { maxParallel });
}

/** Starts what may start and answers the aliases. */
function startAll(run: GraphRun, nodes: RunNode[]): string[] {
  const started = run.startable();
  for (const index of started) run.start(index);
  return started.map((index) => nodes[index]?.alias ?? '?');
}

const shop = 'vpc db:vpc eks:vpc billing:db,eks config:db,eks notify:db,eks';

describe('a graph run', () => {
  test('starts each node the moment its own needs have succeeded', () => {
    const nodes = graph(shop);
    const run = open(nodes);
    expect(startAll(run, nodes)).toEqual(['vpc']);
    run.succeed(0, true);
    expect(startAll(run, nodes)).toEqual(['db', 'eks']);
    run.succeed(2, true);
    expect(startAll(run, nodes)).toEqual([]);
    run.succeed(1, true);
    expect(startAll(run, nodes)).toEqual(['billing', 'config', 'notify']);
    expect(run.finished).toBe(false);
    for (const index of [3, 4, 5]) run.succeed(index, false);
    expect(run.finished).toBe(true);
    expect(run.counts()).toEqual({
      total: 6,
      succeeded: 6,
      failed: 0,
      cancelled: 0,
      skipped: 0,
      running: 0,
      pending: 0,
    });
  });

  test('skips the dependents of a failed node with the failing ancestor, and lets other branches go on', () => {
    const nodes = graph('a b:a c:b d:a');
    const run = open(nodes);
    startAll(run, nodes);
    run.succeed(0, true);
    startAll(run, nodes);
    run.fail(1);
    expect(run.takeUpdates()).toEqual([
      {
        index: 2,
        status: 'skipped',
        reason: { kind: 'failedAncestor', alias: 'b', message: 'needs "b", which failed' },
      },
    ]);
    expect(run.finished).toBe(false);
    run.succeed(3, true);
    expect(run.finished).toBe(true);
  });

  test('runs skipped nodes after their cause was retried and succeeded', () => {
    const nodes = graph('a b:a c:b');
    const run = open(nodes);
    startAll(run, nodes);
    run.fail(0);
    expect(run.finished).toBe(true);
    run.takeUpdates();
    run.retry(0);
    expect(run.takeUpdates().map((update) => [update.index, update.status])).toEqual([
      [0, 'pending'],
      [1, 'pending'],
      [2, 'pending'],
    ]);
    expect(startAll(run, nodes)).toEqual(['a']);
    run.succeed(0, true);
    expect(startAll(run, nodes)).toEqual(['b']);
  });

  test('lets dependents proceed past a node that a person left out', () => {
    const nodes = graph('a b:a');
    const run = open(nodes);
    startAll(run, nodes);
    run.fail(0);
    run.skip(0, 'ann');
    expect(startAll(run, nodes)).toEqual(['b']);
  });

  test('keeps a skip while a second ancestor is still failed', () => {
    const nodes = graph('a b c:a,b');
    const run = open(nodes);
    startAll(run, nodes);
    run.fail(0);
    run.fail(1);
    run.retry(0);
    expect(startAll(run, nodes)).toEqual(['a']);
    run.succeed(0, true);
    expect(run.counts().skipped).toBe(1);
    expect(run.finished).toBe(true);
  });

  test('runs a dependent of a kept node when that node is deployed, else skips it', () => {
    const kept = { action: 'keep' as const, keptBecause: { kind: 'disabled' as const, message: 'disabled' } };
    const deployed = graph('a b:a', { a: { ...kept, satisfied: true } });
    expect(startAll(open(deployed), deployed)).toEqual(['b']);
    const missing = graph('a b:a', { a: { ...kept, satisfied: false } });
    const run = open(missing);
    expect(startAll(run, missing)).toEqual([]);
    expect(run.finished).toBe(true);
    expect(run.takeUpdates().at(1)?.reason?.kind).toBe('disabledAncestor');
  });

  test('holds the order through a node that is left as it is', () => {
    const nodes = graph('a b:a c:b', { b: { action: 'keep', satisfied: true } });
    const run = open(nodes);
    expect(startAll(run, nodes)).toEqual(['a']);
    run.succeed(0, true);
    expect(startAll(run, nodes)).toEqual(['c']);
  });

  test('skips what needs a failed node through one that is left as it is', () => {
    const nodes = graph('a b:a c:b d:c', { b: { action: 'keep', satisfied: true } });
    const run = open(nodes);
    startAll(run, nodes);
    run.takeUpdates();
    run.fail(0);
    expect(run.takeUpdates().map(({ index, reason }) => [index, reason?.alias])).toEqual([
      [2, 'a'],
      [3, 'a'],
    ]);
    run.retry(0);
    startAll(run, nodes);
    run.succeed(0, false);
    expect(startAll(run, nodes)).toEqual(['c']);
  });

  test('runs what needs a deployed node although something further up is not there', () => {
    const nodes = graph('a b:a c:b', {
      a: { action: 'keep', satisfied: false },
      b: { action: 'keep', satisfied: true },
    });
    expect(startAll(open(nodes), nodes)).toEqual(['c']);
  });

  test.each(['retry', 'skip'] as const)(
    'what the first failure held back waits for its turn again after a %s',
    (repair) => {
      const nodes = graph('a b c:b d:a');
      const run = open(nodes);
      startAll(run, nodes);
      run.succeed(0, true);
      run.fail(1);
      run.takeUpdates();
      run.holdPending({ kind: 'failedAncestor', message: 'the run stops at the first failure' });
      expect(run.takeUpdates().map(({ index, status }) => [index, status])).toEqual([[3, 'skipped']]);
      if (repair === 'retry') run.retry(1);
      else run.skip(1, 'ann');
      expect(run.finished).toBe(false);
      const pending = run.takeUpdates().flatMap(({ index, status }) => (status === 'pending' ? [index] : []));
      expect(pending.sort()).toEqual(repair === 'retry' ? [1, 2, 3] : [2, 3]);
      expect(startAll(run, nodes).sort()).toEqual(repair === 'retry' ? ['b', 'd'] : ['c', 'd']);
      expect(run.counts().cancelled).toBe(0);
    },
  );

  test('holds the order through a node that a person left out before its turn', () => {
    const nodes = graph('a b:a c:b');
    const run = open(nodes);
    startAll(run, nodes);
    run.skip(1, 'ann');
    expect(startAll(run, nodes)).toEqual([]);
    run.succeed(0, true);
    expect(startAll(run, nodes)).toEqual(['c']);
  });

  test('names another cause of a skip when the first one is tried again', () => {
    const nodes = graph('a b c:a,b');
    const run = open(nodes);
    startAll(run, nodes);
    run.fail(0);
    run.fail(1);
    run.takeUpdates();
    run.retry(0);
    expect(run.takeUpdates()).toEqual([
      { index: 0, status: 'pending' },
      {
        index: 2,
        status: 'skipped',
        reason: { kind: 'failedAncestor', alias: 'b', message: 'needs "b", which failed' },
      },
    ]);
  });

  test('lets a change trickle to what reads it through others', () => {
    const nodes = graph('a b:a c:b d:b', {
      b: { onlyOnChange: true },
      c: { onlyOnChange: true, reads: [0] },
      d: { onlyOnChange: true },
    });
    const run = open(nodes);
    startAll(run, nodes);
    run.succeed(0, true);
    startAll(run, nodes);
    run.succeed(1, false);
    expect(startAll(run, nodes)).toEqual(['c']);
  });

  test('leaves out a whole chain when nothing it reads runs', () => {
    const nodes = graph('a b:a c:b', {
      a: { action: 'keep', satisfied: true },
      b: { onlyOnChange: true },
      c: { onlyOnChange: true },
    });
    expect(open(nodes).finished).toBe(true);
  });

  test('keeps removed nodes when a deploy was left out, since it may still need them', () => {
    const nodes = graph('a old', { old: { action: 'destroy', last: true } });
    const run = open(nodes);
    startAll(run, nodes);
    run.fail(0);
    run.skip(0, 'ann');
    expect(run.finished).toBe(true);
    expect(run.takeUpdates()).toContainEqual(
      expect.objectContaining({ index: 1, status: 'skipped', reason: expect.objectContaining({ kind: 'keptAlive' }) }),
    );
  });

  test('destroys removed nodes after a retry although a branch without its base stays skipped', () => {
    const nodes = graph('base top:base a old', {
      base: { action: 'keep', satisfied: false },
      old: { action: 'destroy', last: true },
    });
    const run = open(nodes);
    startAll(run, nodes);
    run.fail(2);
    run.retry(2);
    startAll(run, nodes);
    run.succeed(2, true);
    expect(startAll(run, nodes)).toEqual(['old']);
  });

  test('trickles down only while outputs change', () => {
    const nodes = graph('a b:a c:b d:a', {
      b: { onlyOnChange: true },
      c: { onlyOnChange: true },
      d: { onlyOnChange: true },
    });
    const run = open(nodes);
    startAll(run, nodes);
    run.succeed(0, true);
    expect(startAll(run, nodes)).toEqual(['b', 'd']);
    run.succeed(1, false);
    expect(startAll(run, nodes)).toEqual([]);
    run.succeed(3, false);
    expect(run.finished).toBe(true);
    expect(run.counts().skipped).toBe(1);
  });

  test('destroys removed nodes only after everything else has succeeded', () => {
    const nodes = graph('a b old', { old: { action: 'destroy', last: true } });
    const run = open(nodes);
    expect(startAll(run, nodes)).toEqual(['a', 'b']);
    run.succeed(0, true);
    expect(startAll(run, nodes)).toEqual([]);
    run.succeed(1, true);
    expect(startAll(run, nodes)).toEqual(['old']);
    const failing = open(nodes);
    startAll(failing, nodes);
    failing.fail(0);
    failing.succeed(1, true);
    expect(startAll(failing, nodes)).toEqual([]);
    expect(failing.finished).toBe(true);
  });

  test('starts no more than the limit at once', () => {
    const nodes = graph('a b c d e');
    const run = open(nodes, 2);
    expect(startAll(run, nodes)).toEqual(['a', 'b']);
    run.succeed(0, true);
    expect(startAll(run, nodes)).toEqual(['c']);
  });

  test('gives the place of a node that waits for a person to others, and takes it back before new ones when it goes on', () => {
    const nodes = graph('a b c d');
    const run = open(nodes, 1);
    expect(startAll(run, nodes)).toEqual(['a']);
    run.wait(0);
    expect(startAll(run, nodes)).toEqual(['b']);
    run.wait(1);
    expect(startAll(run, nodes)).toEqual(['c']);
    run.ask(1);
    run.ask(0);
    expect(run.returnable()).toEqual([]);
    run.succeed(2, true);
    expect(startAll(run, nodes)).toEqual([]);
    expect(run.returnable()).toEqual([1]);
    run.proceed(1);
    expect(run.returnable()).toEqual([]);
    run.succeed(1, true);
    run.proceed(0);
    run.succeed(0, true);
    expect(startAll(run, nodes)).toEqual(['d']);
    expect(run.counts()).toMatchObject({ running: 1, succeeded: 3 });
  });

  test('is not over while a node waits, and ends with it however it ends', () => {
    const nodes = graph('a b:a');
    for (const end of ['fail', 'cancel'] as const) {
      const run = open(nodes, 1);
      startAll(run, nodes);
      run.wait(0);
      expect([run.finished, run.running]).toEqual([false, 1]);
      if (end === 'fail') run.ask(0);
      run[end](0);
      expect([run.finished, run.returnable()]).toEqual([true, []]);
    }
  });

  test('undoes dependents before what they needed', () => {
    const nodes = graph(shop);
    const undo = new Map<number, RunNode['action']>([
      [0, 'deploy'],
      [1, 'destroy'],
      [3, 'destroy'],
    ]);
    const back = compensationGraph(nodes, undo);
    const run = open(back);
    expect(startAll(run, back)).toEqual(['billing']);
    run.succeed(3, true);
    expect(startAll(run, back)).toEqual(['db']);
    run.succeed(1, true);
    expect(startAll(run, back)).toEqual(['vpc']);
  });

  test('is done in time that grows with the graph, not with its square', () => {
    const width = 20_000;
    const nodes: RunNode[] = Array.from({ length: width }, (_, index) => ({
      alias: `n${index}`,
      action: 'deploy',
      needs: index === 0 ? [] : [0],
    }));
    const run = open(nodes, width);
    run.start(run.startable()[0] ?? -1);
    run.succeed(0, true);
    const started = run.startable();
    expect(started).toHaveLength(width - 1);
    for (const index of started) run.start(index);
    for (const index of started) run.succeed(index, true);
    expect(run.finished).toBe(true);
  });
});

/** A random graph in which needs point to earlier nodes only. */
const randomGraph = fc
  .integer({ min: 1, max: 25 })
  .chain((size) =>
    fc
      .tuple(
        ...Array.from({ length: size }, (_, index) =>
          fc.uniqueArray(fc.nat(Math.max(0, index - 1)), { maxLength: index === 0 ? 0 : 4 }),
        ),
      )
      .map((needs) => needs.map((list, index): RunNode => ({ alias: `n${index}`, action: 'deploy', needs: list }))),
  );

/** As above, with some nodes that are kept, deployed or not, some that run only on a change, and some removed ones. */
const mixedGraph = randomGraph
  .chain((nodes) =>
    fc.tuple(...nodes.map(() => fc.nat(9))).map((rolls) =>
      nodes.map((node, index): RunNode => {
        const roll = rolls[index] ?? 9;
        if (roll <= 1) return { ...node, action: 'keep', satisfied: true };
        if (roll === 2) return { ...node, action: 'keep', satisfied: false };
        return roll === 3 ? { ...node, onlyOnChange: true } : node;
      }),
    ),
  )
  .map((nodes) => [
    ...nodes,
    ...[0, 1].map((need): RunNode => ({
      alias: `old${need}`,
      action: 'destroy',
      last: true,
      needs: need === 0 ? [] : [nodes.length],
    })),
  ]);

/** Whether `from` needs `to`, directly or through others. */
function reaches(nodes: readonly RunNode[], from: number, to: number): boolean {
  return (nodes[from]?.needs ?? []).some((need) => need === to || reaches(nodes, need, to));
}

describe('any graph', () => {
  test('comes to an end in dependency order whatever fails, is retried, left out or interrupted by a hand-over', () => {
    fc.assert(
      fc.property(
        randomGraph,
        fc.array(fc.nat(9), { minLength: 60, maxLength: 200 }),
        fc.integer({ min: 1, max: 5 }),
        (nodes, dice, maxParallel) => {
          let run = new GraphRun(nodes, { maxParallel });
          const done = new Set<number>();
          const running = new Set<number>();
          let retries = 0;
          for (let step = 0; step < 1000 && !run.finished; step++) {
            const roll = dice[step % dice.length] ?? 0;
            for (const index of run.startable()) {
              for (const need of nodes[index]?.needs ?? []) expect(done.has(need)).toBe(true);
              run.start(index);
              running.add(index);
            }
            expect(running.size).toBeLessThanOrEqual(maxParallel);
            expect(run.running).toBe(running.size);
            const next = [...running][roll % Math.max(1, running.size)];
            if (next === undefined) continue;
            running.delete(next);
            if (roll === 0) {
              run.fail(next);
              if (retries++ < 20) run.retry(next);
            } else if (roll === 1) run.fail(next);
            else if (roll === 2) run.cancel(next);
            else {
              run.succeed(next, roll % 2 === 0);
              done.add(next);
            }
            // What a continue-as-new carries over is all there is.
            if (roll === 5) run = new GraphRun(nodes, { maxParallel, state: structuredClone(run.state()) });
          }
          expect(run.finished).toBe(true);
          const counts = run.counts();
          expect(counts.succeeded).toBe(done.size);
          expect(counts.succeeded + counts.failed + counts.cancelled + counts.skipped).toBe(nodes.length);
          nodes.forEach((node, index) => {
            if (done.has(index)) for (const need of node.needs) expect(done.has(need)).toBe(true);
          });
        },
      ),
      { numRuns: 300 },
    );
  });

  test('whose nodes wait and go on never has more at work than places, lets nobody wait with a place free, and ends', () => {
    fc.assert(
      fc.property(
        randomGraph,
        fc.array(fc.nat(9), { minLength: 60, maxLength: 200 }),
        fc.integer({ min: 1, max: 3 }),
        (nodes, dice, maxParallel) => {
          let run = new GraphRun(nodes, { maxParallel });
          const busy = new Set<number>();
          const waiting = new Set<number>();
          const asking = new Set<number>();
          let waits = 0;
          for (let step = 0; step < 3000 && !run.finished; step++) {
            const roll = dice[step % dice.length] ?? 0;
            for (const index of run.returnable()) {
              run.proceed(index);
              asking.delete(index);
              busy.add(index);
            }
            const started = run.startable();
            for (const index of started) {
              run.start(index);
              busy.add(index);
            }
            expect(busy.size).toBeLessThanOrEqual(maxParallel);
            expect(run.running).toBe(busy.size + waiting.size + asking.size);
            // Nobody who could go on waits while a place is free, and nobody new is let in before them.
            if (asking.size > 0) expect([busy.size, started]).toEqual([maxParallel, []]);
            const from = roll < 4 && waiting.size > 0 ? waiting : busy.size > 0 ? busy : waiting;
            const next = [...from][roll % Math.max(1, from.size)];
            if (next === undefined) throw new Error('nothing is at work, and the run is not over');
            from.delete(next);
            if (from === waiting && roll !== 3) {
              run.ask(next);
              asking.add(next);
            } else if (from === busy && roll > 5 && waits++ < 40) {
              run.wait(next);
              waiting.add(next);
            } else if (roll === 3) run.cancel(next);
            else run.succeed(next, true);
            // What a continue-as-new carries over is all there is.
            if (roll === 5) run = new GraphRun(nodes, { maxParallel, state: structuredClone(run.state()) });
          }
          expect(run.finished).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('with nodes that are kept keeps its order, ends each node once and names the true cause of each skip', () => {
    fc.assert(
      fc.property(mixedGraph, fc.array(fc.nat(11), { minLength: 40, maxLength: 150 }), (nodes, dice) => {
        let run = new GraphRun(nodes, { maxParallel: 4 });
        const upstream: number[][] = [];
        for (const { needs } of nodes)
          upstream.push([...new Set(needs.flatMap((need) => [need, ...(upstream[need] ?? [])]))]);
        const status = nodes.map((): string => 'pending');
        const reasons = new Map<number, NodeUpdate['reason']>();
        const record = (): void => {
          for (const update of run.takeUpdates()) {
            const before = status[update.index] ?? '';
            const allowed =
              update.status === 'pending'
                ? ['skipped', 'failed', 'cancelled']
                : update.reason?.kind === 'skippedByUser'
                  ? ['pending', 'failed', 'cancelled']
                  : ['pending', 'skipped'];
            expect(allowed).toContain(before);
            status[update.index] = update.status;
            reasons.set(update.index, update.reason);
          }
        };
        const leftAsIs = (index: number): boolean =>
          ['skippedByUser', 'notSelected', 'disabled'].includes(reasons.get(index)?.kind ?? '');
        let again = 0;
        record();
        for (let step = 0; step < 2000 && !run.finished; step++) {
          const roll = dice[step % dice.length] ?? 0;
          for (const index of run.startable()) {
            expect(status[index]).toBe('pending');
            for (const ancestor of upstream[index] ?? [])
              expect(status[ancestor] === 'succeeded' || (status[ancestor] === 'skipped' && leftAsIs(ancestor))).toBe(
                true,
              );
            run.start(index);
            status[index] = 'running';
          }
          const running = run.runningIndexes();
          const next = running[roll % Math.max(1, running.length)];
          if (next === undefined) break;
          if (roll <= 2) {
            run.fail(next);
            status[next] = 'failed';
          } else if (roll === 3) {
            run.cancel(next);
            status[next] = 'cancelled';
          } else {
            run.succeed(next, roll % 2 === 0);
            status[next] = 'succeeded';
          }
          record();
          if (roll === 1 && again++ < 20) run.retry(next);
          if (roll === 2) run.skip(next, 'ann');
          if (roll === 5) {
            const waiting = status.indexOf('pending');
            if (waiting !== -1) run.skip(waiting, 'ann');
          }
          record();
          if (roll === 6) run = new GraphRun(nodes, { maxParallel: 4, state: structuredClone(run.state()) });
        }
        expect(run.finished).toBe(true);
        const ended = ['succeeded', 'failed', 'skipped', 'cancelled'];
        nodes.forEach((_, index) => {
          expect(ended).toContain(status[index]);
          const reason = reasons.get(index);
          if (status[index] !== 'skipped' || reason?.alias === undefined) return;
          const cause = nodes.findIndex((node) => node.alias === reason.alias);
          if (reason.kind !== 'keptAlive') expect(upstream[index]).toContain(cause);
          expect(status[cause]).toBe(
            { failedAncestor: 'failed', stopped: 'cancelled', disabledAncestor: 'skipped', keptAlive: status[cause] }[
              reason.kind as 'failedAncestor'
            ],
          );
        });
      }),
      { numRuns: 500 },
    );
  });

  test('is undone so that nothing loses what it needs before itself', () => {
    fc.assert(
      fc.property(randomGraph, fc.array(fc.boolean(), { minLength: 25, maxLength: 25 }), (nodes, chosen) => {
        const undo = new Map(
          nodes.flatMap((_, index) => (chosen[index] ? [[index, 'destroy' as const] as const] : [])),
        );
        const back = compensationGraph(nodes, undo);
        const run = new GraphRun(back, { maxParallel: 3 });
        const undone = new Set<number>();
        while (!run.finished) {
          for (const index of run.startable()) {
            run.start(index);
            nodes.forEach((_, other) => {
              if (undo.has(other) && other !== index && reaches(nodes, other, index))
                expect(undone.has(other)).toBe(true);
            });
          }
          const next = run.runningIndexes()[0];
          if (next === undefined) break;
          run.succeed(next, false);
          undone.add(next);
        }
        expect([...undone].sort((a, b) => a - b)).toEqual([...undo.keys()].sort((a, b) => a - b));
      }),
    );
  });
});
