/** Nodes whose workflow somebody ends in Temporal: the server of development tells their runs, the time-skipping one does not. */
import { until } from '../../../test/support/until.ts';
import { succeeded } from '../fake-records.test-support.ts';
import type { Perform } from '../fake-records.test-support.ts';
import { makeGate, useWorkflows } from '../workflows.test-support.ts';
import type { Gate } from '../workflows.test-support.ts';
import { nodesOf, startRun } from './run.test-support.ts';

const workflows = useWorkflows({ server: 'development' });

const behind =
  (gate: Gate): Perform =>
  async () => {
    await gate.pass();
    return succeeded;
  };

it('goes on when the workflow of a node is terminated from outside', async () => {
  const gate = makeGate();
  const nodes = nodesOf({ db: [], app: ['db'], dns: [] });
  const run = await startRun(workflows, nodes, { perform: { db: behind(gate) }, onFailure: 'continue' });
  await gate.reached;
  await run.nodeHandle('db').terminate('by an operator');
  expect(await run.ended()).toEqual({ status: 'failed' });
  expect([run.updateOf('app'), run.called()]).toEqual(['skipped', expect.arrayContaining(['dns'])]);
  gate.open();
});

it('takes in the end of a node before it acts on a retry that comes with it in one step', async () => {
  const [lost, slow] = [makeGate(), makeGate()];
  const nodes = nodesOf({ db: [], app: ['db'], dns: [] });
  const db: Perform = async (_, nth) => {
    if (nth === 1) await lost.pass();
    return succeeded;
  };
  const run = await startRun(workflows, nodes, { perform: { db, dns: behind(slow) }, onFailure: 'continue' });
  await Promise.all([lost.reached, slow.reached]);
  let answer: Promise<string | null> = Promise.resolve('not asked');
  await workflows.withoutWorkflows(async () => {
    await run.nodeHandle('db').terminate('by an operator');
    // The reconciliation has written its end down, so the API may ask for this.
    answer = run.ask({ kind: 'retry', alias: 'db', recorded: 'failed' });
  });
  expect(await answer).toBeNull();
  await until(() => run.called().includes('app'));
  slow.open();
  lost.open();
  expect(await run.ended()).toEqual({ status: 'succeeded' });
  expect(run.called().filter((alias) => alias === 'db')).toHaveLength(2);
});
