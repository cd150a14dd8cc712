/** A run whose history has grown long goes on as a new one, with the children that it has. */
import { deploymentMessages } from '../../model/index.ts';
import type { PlaceNews } from '../../model/index.ts';
import { until } from '../../../test/support/until.ts';
import { failed, succeeded } from '../fake-records.test-support.ts';
import type { Perform } from '../fake-records.test-support.ts';
import { makeGate, useWorkflows } from '../workflows.test-support.ts';
import type { Gate } from '../workflows.test-support.ts';
import { nodesOf, startRun } from './run.test-support.ts';
import type { StartedRun } from './run.test-support.ts';

// Megabytes are not replayed for each step.
const workflows = useWorkflows({ cached: 20 });

/** Of bytes a run takes seven million before it hands over; each signal brings some. */
const bytesOfSignal = 1_200_000;
const signals = 6;

const behind =
  (gate: Gate): Perform =>
  async () => {
    await gate.pass();
    return succeeded;
  };

/** Makes the history of a run long with news of a node that it does not have, and waits until it has handed over. */
async function makeLong({ handle, records }: StartedRun): Promise<void> {
  const news: PlaceNews & { readonly ballast: string } = {
    index: 999,
    place: 'free',
    ballast: 'x'.repeat(bytesOfSignal),
  };
  const before = records.resolutions;
  for (let sent = 0; sent < signals; sent++) await handle.signal(deploymentMessages.place, news);
  await until(() => records.resolutions > before);
}

const nodes = nodesOf({ vpc: [], db: ['vpc'], app: ['db'], dns: ['vpc'], mail: ['vpc'], web: ['app', 'dns'] });

it('keeps what is done, what runs, what waits and that it is paused', async () => {
  const [db, dns] = [makeGate(), makeGate()];
  const mail: Perform = (_, nth) => (nth === 1 ? { status: 'paused', message: 'no credentials' } : succeeded);
  const run = await startRun(workflows, nodes, { perform: { db: behind(db), dns: behind(dns), mail } });
  await Promise.all([db.reached, dns.reached]);
  expect(await run.ask({ kind: 'pause' })).toBeNull();
  await makeLong(run);
  expect(run.called().sort()).toEqual(['db', 'dns', 'mail', 'vpc']);

  // Of children that an earlier run has started.
  db.open();
  expect(await run.ask({ kind: 'retry', alias: 'mail' })).toBeNull();
  await until(() => run.called().filter((alias) => alias === 'mail').length === 2);
  expect(run.called()).not.toContain('app');
  expect(await run.ask({ kind: 'continue' })).toBeNull();
  await until(() => run.called().includes('app'));
  dns.open();
  expect(await run.ended()).toEqual({ status: 'succeeded' });
  expect(run.called().sort()).toEqual(['app', 'db', 'dns', 'mail', 'mail', 'vpc', 'web']);
  expect(run.records.resolutions).toBe(2);
});

it('knows of a failure before it, and takes back what was begun', async () => {
  const gate = makeGate();
  const dns: Perform = async ({ compensation }) => {
    if (compensation !== true) await gate.pass();
    return succeeded;
  };
  const db: Perform = ({ compensation }) => (compensation === true ? succeeded : failed);
  const run = await startRun(workflows, nodes, { perform: { db, dns }, onFailure: 'rollback' });
  await gate.reached;
  await until(() => run.updateOf('app') === 'skipped');
  await makeLong(run);
  gate.open();
  expect(await run.ended()).toEqual({ status: 'rolledBack' });
  const taken = run.called().filter((alias) => alias.startsWith('-'));
  expect([...taken].sort()).toEqual(['-db', '-dns', '-mail', '-vpc']);
  expect(taken.at(-1)).toBe('-vpc');
});

it('goes on with taking back what it has begun to take back', async () => {
  const gate = makeGate();
  const db: Perform = async ({ compensation }) => {
    if (compensation === true) await gate.pass();
    return succeeded;
  };
  const app: Perform = ({ compensation }) => (compensation === true ? succeeded : failed);
  const run = await startRun(workflows, nodesOf({ vpc: [], db: ['vpc'], app: ['db'] }), {
    perform: { db, app },
    onFailure: 'rollback',
  });
  await gate.reached;
  await makeLong(run);
  gate.open();
  expect(await run.ended()).toEqual({ status: 'rolledBack' });
  expect(run.called()).toEqual(['vpc', 'db', 'app', '-app', '-db', '-vpc']);
  expect(run.records.statuses).toEqual(['rollingBack']);
});

it('does not forget that it is being stopped', async () => {
  const gate = makeGate();
  const run = await startRun(workflows, nodes, { perform: { db: behind(gate) } });
  await gate.reached;
  expect(await run.ask({ kind: 'cancel' })).toBeNull();
  await makeLong(run);
  expect(await run.ask({ kind: 'retry', alias: 'db' })).toBe('the run is being stopped');
  gate.open();
  expect(await run.ended()).toEqual({ status: 'cancelled' });
});
