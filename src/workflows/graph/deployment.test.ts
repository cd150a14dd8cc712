/** A run of a graph: which node starts when, and what a failure, a person or a stop does to it. */
import { ApplicationFailure } from '@temporalio/activity';
import { deploymentMessages } from '../../model/index.ts';
import type { ControlMessage, NodeOutcome } from '../../model/index.ts';
import { until } from '../../../test/support/until.ts';
import { failed, succeeded } from '../fake-records.test-support.ts';
import type { Perform } from '../fake-records.test-support.ts';
import { cancelled, makeGate, useWorkflows } from '../workflows.test-support.ts';
import type { Gate } from '../workflows.test-support.ts';
import { nodesOf, startRun } from './run.test-support.ts';

const workflows = useWorkflows();

/** Six stacks as in the example of the documentation. */
const shop = nodesOf({ vpc: [], dns: ['vpc'], db: ['vpc'], cache: ['vpc'], app: ['db', 'cache'], web: ['app', 'dns'] });
const chain = nodesOf({ vpc: [], db: ['vpc'], app: ['db'] });

const behind =
  (gate: Gate, outcome: NodeOutcome = succeeded): Perform =>
  async () => {
    await gate.pass();
    return outcome;
  };
/** Fails the first time, and then works. */
const mended: Perform = (_, nth) => (nth === 1 ? failed : succeeded);
const asks: NodeOutcome = { status: 'waitingForApproval', approvalId: 'apr_1', expiresInMs: 3_600_000 };

describe('the order of nodes', () => {
  it('is that of their needs', async () => {
    const run = await startRun(workflows, shop);
    expect(await run.ended()).toEqual({ status: 'succeeded' });
    const called = run.called();
    expect([...called].sort()).toEqual(['app', 'cache', 'db', 'dns', 'vpc', 'web']);
    for (const [index, node] of shop.entries())
      for (const need of node.needs)
        expect(called.indexOf(shop[need]?.alias ?? '')).toBeLessThan(called.indexOf(shop[index]?.alias ?? ''));
  });

  it('lets nobody wait for what it does not need', async () => {
    const gate = makeGate();
    const run = await startRun(workflows, shop, { perform: { dns: behind(gate) } });
    await gate.reached;
    await until(() => run.called().includes('app'));
    expect(run.called()).not.toContain('web');
    gate.open();
    expect(await run.ended()).toEqual({ status: 'succeeded' });
  });

  it('leaves out what is kept, and records why', async () => {
    const nodes = nodesOf(
      { vpc: [], db: ['vpc'], app: ['db'] },
      { vpc: { action: 'keep', satisfied: true }, app: { onlyOnChange: true } },
    );
    const unchanged: Perform = () => ({ status: 'succeeded', changedOutputs: false, ran: true });
    const run = await startRun(workflows, nodes, { perform: { db: unchanged } });
    expect(await run.ended()).toEqual({ status: 'succeeded' });
    expect(run.called()).toEqual(['db']);
    expect([run.updateOf('vpc'), run.updateOf('app')]).toEqual(['skipped', 'skipped']);
  });

  it('destroys removed nodes last, and not at all when something has failed', async () => {
    const nodes = nodesOf({ old: [], vpc: [], db: ['vpc'] }, { old: { action: 'destroy', last: true } });
    const well = await startRun(workflows, nodes);
    expect(await well.ended()).toEqual({ status: 'succeeded' });
    expect(well.called()).toEqual(['vpc', 'db', 'old']);
    const badly = await startRun(workflows, nodes, { perform: { db: () => failed }, onFailure: 'continue' });
    expect(await badly.ended()).toEqual({ status: 'failed' });
    expect([badly.called(), badly.updateOf('old')]).toEqual([['vpc', 'db'], 'skipped']);
  });
});

describe('places', () => {
  const five = nodesOf({ a: [], b: [], c: [], d: [], e: [] });

  it('are never more than maxParallel, and are filled again as they become free', async () => {
    const gates: Record<string, Gate> = Object.fromEntries(five.map(({ alias }) => [alias, makeGate()]));
    const perform = Object.fromEntries(Object.entries(gates).map(([alias, gate]) => [alias, behind(gate)]));
    const run = await startRun(workflows, five, { maxParallel: 2, perform });
    await Promise.all([gates['a']?.reached, gates['b']?.reached]);
    gates['b']?.open();
    await gates['c']?.reached;
    expect(run.called()).toEqual(['a', 'b', 'c']);
    for (const gate of Object.values(gates)) gate.open();
    expect(await run.ended()).toEqual({ status: 'succeeded' });
    expect(run.records.mostAtOnce).toBe(2);
  });

  it('are given away by a node that waits for a person, and asked for before it goes on', async () => {
    const gate = makeGate();
    const perform: Record<string, Perform> = {
      a: ({ mode }) => (mode === 'apply' ? succeeded : asks),
      b: behind(gate),
    };
    const run = await startRun(workflows, nodesOf({ a: [], b: [], c: [] }), { maxParallel: 1, perform });
    await gate.reached;
    await run.nodeHandle('a').executeUpdate('decide', {
      args: [{ approvalId: 'apr_1', decision: 'approve', by: 'bob', complete: true }],
    });
    gate.open();
    expect(await run.ended()).toEqual({ status: 'succeeded' });
    expect(run.records.mostAtOnce).toBe(1);
    // Whoever has begun goes before whoever is new.
    expect(run.called()).toEqual(['a', 'b', 'a apply', 'c']);
  });

  it('are given away by a long wait for the next try, and kept in a short one', async () => {
    const retry =
      (afterMs: number): Perform =>
      (_, nth) =>
        nth === 1 ? { status: 'retry', afterMs, message: 'x' } : succeeded;
    const nodes = nodesOf({ a: [], b: [] });
    const long = await startRun(workflows, nodes, { maxParallel: 1, perform: { a: retry(3_600_000) } });
    expect(await long.skippedToEnd()).toEqual({ status: 'succeeded' });
    expect(long.called()).toEqual(['a', 'b', 'a']);
    const short = await startRun(workflows, nodes, { maxParallel: 1, perform: { a: retry(5000) } });
    expect(await short.skippedToEnd()).toEqual({ status: 'succeeded' });
    expect(short.called()).toEqual(['a', 'a', 'b']);
  });
});

describe('a failure', () => {
  const nodes = nodesOf({ vpc: [], db: ['vpc'], app: ['db'], dns: ['vpc'], web: ['dns'] });

  it('with onFailure: stop begins nothing more, and lets what runs come to its end', async () => {
    const [bad, slow] = [makeGate(), makeGate()];
    const run = await startRun(workflows, nodes, { perform: { db: behind(bad, failed), dns: behind(slow) } });
    await Promise.all([bad.reached, slow.reached]);
    bad.open();
    await until(() => run.updateOf('app') === 'skipped');
    slow.open();
    expect(await run.ended()).toEqual({ status: 'failed' });
    expect(run.called()).not.toContain('web');
    expect([run.updateOf('app'), run.updateOf('web')]).toEqual(['skipped', 'skipped']);
  });

  it('with onFailure: continue leaves out only what needs it', async () => {
    const run = await startRun(workflows, nodes, { perform: { db: () => failed }, onFailure: 'continue' });
    expect(await run.ended()).toEqual({ status: 'failed' });
    expect(run.called()).toContain('web');
    expect([run.updateOf('app'), run.updateOf('web')]).toEqual(['skipped', undefined]);
  });

  it('with onFailure: rollback takes back what was begun, the last first', async () => {
    const run = await startRun(workflows, chain, {
      perform: { app: ({ compensation }) => (compensation === true ? succeeded : failed) },
      onFailure: 'rollback',
    });
    expect(await run.ended()).toEqual({ status: 'rolledBack' });
    expect(run.called()).toEqual(['vpc', 'db', 'app', '-app', '-db', '-vpc']);
    expect(run.records.calls.slice(3).map(({ action }) => action)).toEqual(['destroy', 'destroy', 'destroy']);
    expect(run.records.statuses).toContain('rollingBack');
  });

  it('of a rollback leaves what the failed node needs as it is, and is said', async () => {
    const run = await startRun(workflows, chain, {
      perform: { db: ({ compensation }) => (compensation === true ? failed : succeeded), app: () => failed },
      onFailure: 'rollback',
    });
    // `app` fails in both directions, so nothing that it needs is taken back.
    expect(await run.ended()).toEqual({ status: 'rollbackFailed' });
    expect(run.called()).toEqual(['vpc', 'db', 'app', '-app']);
    expect(run.records.ending?.message).toBe('3 of 3 nodes could not be taken back');
  });
});

describe('people', () => {
  it('pause a run, which begins nothing until it is continued', async () => {
    const gate = makeGate();
    const run = await startRun(workflows, chain, { perform: { vpc: behind(gate) } });
    await gate.reached;
    expect(await run.ask({ kind: 'pause' })).toBeNull();
    gate.open();
    await until(async () => (await run.nodeHandle('vpc').describe()).status.name === 'COMPLETED');
    expect(await run.ask({ kind: 'skip', alias: 'app' })).toBeNull();
    expect(run.called()).toEqual(['vpc']);
    expect(await run.ask({ kind: 'continue' })).toBeNull();
    expect(await run.ended()).toEqual({ status: 'succeeded' });
    expect(run.called()).toEqual(['vpc', 'db']);
  });

  it('mend what has failed in a paused run, which waits for that with its end', async () => {
    const gate = makeGate();
    const db: Perform = async (_, nth) => {
      if (nth > 1) return succeeded;
      await gate.pass();
      return failed;
    };
    const run = await startRun(workflows, chain, { perform: { db } });
    await gate.reached;
    expect(await run.ask({ kind: 'pause' })).toBeNull();
    gate.open();
    await until(() => run.updateOf('app') === 'skipped');
    expect(await run.ask({ kind: 'retry', alias: 'db' })).toBeNull();
    expect(await run.ask({ kind: 'continue' })).toBeNull();
    expect(await run.ended()).toEqual({ status: 'succeeded' });
    expect(run.called()).toEqual(['vpc', 'db', 'db', 'app']);
  });

  it('try a failed node again while others run, and what was skipped for it runs after all', async () => {
    const slow = makeGate();
    const nodes = nodesOf({ db: [], app: ['db'], dns: [] });
    const run = await startRun(workflows, nodes, {
      perform: { db: mended, dns: behind(slow) },
      onFailure: 'continue',
    });
    await until(() => run.updateOf('app') === 'skipped');
    expect(await run.ask({ kind: 'retry', alias: 'db' })).toBeNull();
    await until(() => run.called().includes('app'));
    slow.open();
    expect(await run.ended()).toEqual({ status: 'succeeded' });
    expect(run.updateOf('app')).toBe('pending');
  });

  it('leave a failed node out, and what needs it goes on as if it had succeeded', async () => {
    const slow = makeGate();
    const nodes = nodesOf({ db: [], app: ['db'], dns: [] });
    const run = await startRun(workflows, nodes, {
      perform: { db: () => failed, dns: behind(slow) },
      onFailure: 'continue',
    });
    await until(() => run.updateOf('app') === 'skipped');
    expect(await run.ask({ kind: 'skip', alias: 'db' })).toBeNull();
    await until(() => run.called().includes('app'));
    slow.open();
    expect(await run.ended()).toEqual({ status: 'succeeded' });
    expect(run.updateOf('db')).toBe('skipped');
  });

  it('let a paused node go on', async () => {
    const perform: Perform = (_, nth) => (nth === 1 ? { status: 'paused', message: 'no credentials' } : succeeded);
    const run = await startRun(workflows, chain, { perform: { vpc: perform } });
    await until(() => run.called().length === 1);
    expect(await run.ask({ kind: 'retry', alias: 'vpc' })).toBeNull();
    expect(await run.ended()).toEqual({ status: 'succeeded' });
    expect(run.called()).toEqual(['vpc', 'vpc', 'db', 'app']);
  });

  it('are refused what the run has no node for, and what is not on record', async () => {
    const gate = makeGate();
    const run = await startRun(workflows, chain, { perform: { vpc: behind(gate) } });
    await gate.reached;
    expect(await run.ask({ kind: 'retry', alias: 'nothing' })).toBe('this run has no node "nothing"');
    expect(await run.ask({ kind: 'skip', alias: 'vpc' })).toBe('"vpc" is not in a state for skip');
    const forged: ControlMessage = { kind: 'abort', by: 'nobody', requestId: 'req_forged' };
    await expect(run.handle.executeUpdate(deploymentMessages.control, { args: [forged] })).rejects.toMatchObject({
      cause: { message: 'nobody has asked for that' },
    });
    gate.open();
    expect(await run.ended()).toEqual({ status: 'succeeded' });
  });
});

describe('a stop', () => {
  it('by cancel lets the tool come to its end and begins nothing more', async () => {
    const gate = makeGate();
    const run = await startRun(workflows, chain, { perform: { vpc: behind(gate) } });
    await gate.reached;
    expect(await run.ask({ kind: 'cancel' })).toBeNull();
    expect(await run.ask({ kind: 'pause' })).toBe('the run is being stopped');
    await until(() => run.updateOf('app') === 'cancelled');
    gate.open();
    expect(await run.ended()).toEqual({ status: 'cancelled' });
    expect(run.called()).toEqual(['vpc']);
  });

  const aborted: NodeOutcome = { status: 'aborted', message: 'interrupted', changedState: true };
  /** Goes on until it is interrupted. */
  const interrupted =
    (gate: Gate): Perform =>
    () =>
      Promise.race([gate.pass().then(() => succeeded), cancelled().catch(() => aborted)]);

  it('by abort interrupts the tool', async () => {
    const gate = makeGate();
    const run = await startRun(workflows, chain, { perform: { vpc: interrupted(gate) } });
    await gate.reached;
    expect(await run.ask({ kind: 'abort' })).toBeNull();
    expect(await run.ask({ kind: 'cancel' })).toBe('the run is being stopped already (abort)');
    expect(await run.ended()).toEqual({ status: 'aborted' });
    expect(run.updateOf('vpc')).toBe('aborted');
  });

  it('by rollback interrupts the tool and takes back what was begun', async () => {
    const gate = makeGate();
    const db: Perform = (call, nth) => (call.compensation === true ? succeeded : interrupted(gate)(call, nth));
    const run = await startRun(workflows, chain, { perform: { db } });
    await gate.reached;
    expect(await run.ask({ kind: 'rollback' })).toBeNull();
    expect(await run.ended()).toEqual({ status: 'rolledBack' });
    expect(run.called()).toEqual(['vpc', 'db', '-db', '-vpc']);
  });

  it('while the run is resolved ends it before anything has begun', async () => {
    const gate = makeGate();
    const run = await startRun(workflows, chain, { resolving: () => gate.pass() });
    await gate.reached;
    expect(await run.ask({ kind: 'cancel' })).toBeNull();
    expect(await run.ended()).toEqual({ status: 'cancelled' });
    expect(run.records.ending?.message).toBe('stopped before anything of it had begun');
    gate.open();
  });

  it('by an operator who cancels the workflow in Temporal is an abort, and is recorded as one', async () => {
    const gate = makeGate();
    const run = await startRun(workflows, chain, { perform: { vpc: interrupted(gate) } });
    await gate.reached;
    await run.handle.cancel();
    expect(await run.ended()).toEqual({ status: 'aborted' });
    expect([run.records.stop, run.records.statuses]).toEqual(['abort', ['stopping']]);
  });

  it('makes way for a run that changes something, once the records say that one is due', async () => {
    const gate = makeGate();
    const plan = nodesOf({ vpc: [], db: ['vpc'] }, { vpc: { action: 'plan' }, db: { action: 'plan' } });
    const run = await startRun(workflows, plan, { perform: { vpc: interrupted(gate) } });
    await gate.reached;
    await run.handle.signal(deploymentMessages.makeWay);
    // An update is answered after the signals that came before it.
    expect(await run.ask({ kind: 'pause' })).toBeNull();
    expect(await run.ask({ kind: 'continue' })).toBeNull();
    run.records.otherIsDue = true;
    await run.handle.signal(deploymentMessages.makeWay);
    expect(await run.ended()).toEqual({ status: 'cancelled' });
    expect([run.called(), run.updateOf('db')]).toEqual([['vpc'], 'cancelled']);
  });

  it('reaches a node that waits', async () => {
    const run = await startRun(workflows, chain, { perform: { vpc: () => asks } });
    await until(() => run.called().length === 1);
    expect(await run.ask({ kind: 'cancel' })).toBeNull();
    expect(await run.ended()).toEqual({ status: 'cancelled' });
    expect(run.updateOf('vpc')).toBe('cancelled');
  });
});

it('fails a run that cannot be resolved, and leaves one alone that nobody has asked for', async () => {
  const broken = await startRun(workflows, chain, {
    resolving: () => Promise.reject(ApplicationFailure.nonRetryable('the file is broken', 'invalidDefinition')),
  });
  expect(await broken.ended()).toEqual({ status: 'failed' });
  expect(broken.records.ending?.message).toBe('the file is broken');
  const forged = await startRun(workflows, chain, {
    resolving: () => Promise.reject(ApplicationFailure.nonRetryable('no such run', 'refused')),
  });
  await expect(forged.ended()).rejects.toThrow();
  expect(forged.records.ending).toBeNull();
});
