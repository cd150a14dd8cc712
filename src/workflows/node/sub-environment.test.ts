/** One node of a run: what its workflow waits for between the calls of its tool. */
import { ApplicationFailure } from '@temporalio/activity';
import type { WorkflowHandle } from '@temporalio/client';
import type { Decision, NodeResult, NodeWorkflowInput, RunNodeInput } from '../../model/index.ts';
import { nodeMessages, taskQueues, workflowIds, workflowTypes } from '../../model/index.ts';
import { until } from '../../../test/support/until.ts';
import { makeRun, succeeded } from '../fake-records.test-support.ts';
import type { FakeRun, Perform } from '../fake-records.test-support.ts';
import { cancelled, makeGate, newRunId, useWorkflows } from '../workflows.test-support.ts';

const workflows = useWorkflows();
const hourMs = 3_600_000;

interface StartedNode {
  readonly run: FakeRun;
  readonly handle: WorkflowHandle;
  readonly result: () => Promise<NodeResult>;
  /** Waits until its tool was called so often. */
  called(times: number): Promise<void>;
  decide(decision: Partial<Decision>): Promise<void>;
}

/** Starts the workflow of the only node of a run, without one for the run. */
async function startNode(perform: Perform, more: Partial<NodeWorkflowInput> = {}): Promise<StartedNode> {
  const run = makeRun(newRunId(), [{ alias: 'db', needs: [], action: 'deploy' }], { perform: { db: perform } });
  workflows.add(run);
  const base = { deploymentId: run.id, environmentId: 'env_db', alias: 'db', index: 0, action: 'deploy' } as const;
  const handle = await workflows.client().workflow.start(workflowTypes.subEnvironment, {
    workflowId: workflowIds.node(run.id, 'db'),
    taskQueue: taskQueues.orchestration,
    args: [{ ...base, showsStatus: true, ...more } satisfies NodeWorkflowInput],
  });
  return {
    run,
    handle,
    result: () => workflows.resultOf<NodeResult>(handle),
    called: async (times) => void (await until(() => run.calls.length >= times)),
    decide: (decision) =>
      handle.executeUpdate<void, [Decision]>(nodeMessages.decide, {
        args: [{ approvalId: 'apr_1', decision: 'approve', by: 'bob', complete: true, ...decision }],
      }),
  };
}

const triesOf = (run: FakeRun): [RunNodeInput['mode'], number][] => run.calls.map(({ mode, try: nth }) => [mode, nth]);
const waitsForApproval = { status: 'waitingForApproval', approvalId: 'apr_1', expiresInMs: hourMs } as const;
/** Asks first, and then does as it is told. */
const asksFirst: Perform = ({ mode }) => (mode === 'apply' ? succeeded : waitsForApproval);

describe('a node that is tried again', () => {
  it('waits as long as it was told before each try, and counts them', async () => {
    const begunMs = await workflows.nowMs();
    const node = await startNode((_, nth) =>
      nth < 3 ? { status: 'retry', afterMs: 5 * hourMs, message: 'not yet' } : succeeded,
    );
    expect(await node.result()).toEqual(succeeded);
    expect(triesOf(node.run)).toEqual([
      ['run', 1],
      ['run', 2],
      ['run', 3],
    ]);
    expect((await workflows.nowMs()) - begunMs).toBeGreaterThanOrEqual(10 * hourMs);
  });

  it('uses up no try when waiting was not its fault', async () => {
    const node = await startNode((_, nth) =>
      nth < 3 ? { status: 'retry', afterMs: 1000, message: 'slower', uncounted: true } : succeeded,
    );
    expect(await node.result()).toEqual(succeeded);
    expect(triesOf(node.run).map(([, nth]) => nth)).toEqual([1, 1, 1]);
  });

  it('is over at once when it is stopped while it waits', async () => {
    const node = await startNode(() => ({ status: 'retry', afterMs: 5 * hourMs, message: 'not yet' }));
    await node.called(1);
    const begunMs = await workflows.nowMs();
    node.run.stop = 'abort';
    await node.handle.signal(nodeMessages.stop, { mode: 'abort' });
    expect(await node.handle.result()).toMatchObject({ status: 'aborted', changedState: false });
    expect((await workflows.nowMs()) - begunMs).toBeLessThan(hourMs);
    expect(node.run.calls).toHaveLength(1);
  });
});

describe('a paused node', () => {
  it('is called again when it may go on, as the same try', async () => {
    const node = await startNode((_, nth) => (nth === 1 ? { status: 'paused', message: 'no credentials' } : succeeded));
    await node.called(1);
    await node.handle.signal(nodeMessages.resume);
    expect(await node.handle.result()).toEqual(succeeded);
    expect(triesOf(node.run)).toEqual([
      ['run', 1],
      ['run', 1],
    ]);
  });

  it('hears a word to go on that comes between the record of the pause and the end of the call', async () => {
    const gate = makeGate();
    const node = await startNode(async (_, nth) => {
      if (nth > 1) return succeeded;
      await gate.pass();
      return { status: 'paused', message: 'no credentials' };
    });
    await gate.reached;
    await node.handle.signal(nodeMessages.resume);
    gate.open();
    expect(await node.handle.result()).toEqual(succeeded);
  });
});

describe('a node that waits for approval', () => {
  it('applies what was approved', async () => {
    const node = await startNode(asksFirst);
    await node.called(1);
    await node.decide({});
    expect(await node.handle.result()).toEqual(succeeded);
    expect(triesOf(node.run).map(([mode]) => mode)).toEqual(['run', 'apply']);
  });

  it('waits on until enough people have approved', async () => {
    const node = await startNode(asksFirst);
    await node.called(1);
    await node.decide({ complete: false });
    await node.decide({ by: 'carol' });
    expect(await node.handle.result()).toEqual(succeeded);
  });

  it('is cancelled when nobody decides in time, and calls nothing', async () => {
    const node = await startNode(asksFirst);
    expect(await node.result()).toEqual({
      status: 'cancelled',
      message: 'nobody approved in time',
      changedState: false,
    });
    expect(node.run.calls).toHaveLength(1);
  });

  it('keeps a decision that is faster than the answer of the call that asked', async () => {
    const gate = makeGate();
    const node = await startNode(async (call, nth) => {
      if (call.mode === 'run') await gate.pass();
      return asksFirst(call, nth);
    });
    await gate.reached;
    await node.decide({});
    gate.open();
    expect(await node.handle.result()).toEqual(succeeded);
  });

  it('refuses a decision on another question', async () => {
    const node = await startNode(asksFirst);
    await node.called(1);
    // Until the workflow has heard that it waits, it keeps any decision.
    await until(() =>
      node.decide({ approvalId: 'apr_old', complete: false }).then(
        () => false,
        (error: Error) => String(error.cause).includes('does not wait for this approval any more'),
      ),
    );
    await node.decide({});
    expect(await node.handle.result()).toEqual(succeeded);
  });

  it('looks a rejection up by one more call, which says how the node ended', async () => {
    const rejected: NodeResult = { status: 'cancelled', message: 'rejected by bob', changedState: false };
    const node = await startNode(({ mode }) => (mode === 'apply' ? rejected : waitsForApproval));
    await node.called(1);
    await node.decide({ decision: 'reject', complete: false });
    expect(await node.handle.result()).toEqual(rejected);
  });

  it('is over when the run is stopped', async () => {
    const node = await startNode(asksFirst);
    await node.called(1);
    node.run.stop = 'cancel';
    await node.handle.signal(nodeMessages.stop, { mode: 'cancel' });
    expect(await node.handle.result()).toEqual({
      status: 'cancelled',
      message: 'cancelled while it waited',
      changedState: false,
    });
  });
});

describe('a stop while the tool is at work', () => {
  /** A tool that ends when it is interrupted, or when the gate opens. */
  function interruptible(): { readonly gate: ReturnType<typeof makeGate>; readonly perform: Perform } {
    const gate = makeGate();
    const aborted: NodeResult = { status: 'aborted', message: 'interrupted', changedState: true };
    return { gate, perform: () => Promise.race([gate.pass().then(() => succeeded), cancelled().catch(() => aborted)]) };
  }

  it('interrupts it when the run is aborted, and takes its answer', async () => {
    const { gate, perform } = interruptible();
    const node = await startNode(perform);
    await gate.reached;
    node.run.stop = 'abort';
    await node.handle.signal(nodeMessages.stop, { mode: 'abort' });
    expect(await node.handle.result()).toMatchObject({ status: 'aborted', changedState: true });
    expect(triesOf(node.run)).toEqual([['run', 1]]);
  });

  it('lets it come to its end when the run is cancelled, unless it only reads', async () => {
    const changing = interruptible();
    const changes = await startNode(changing.perform);
    const reading = interruptible();
    const reads = await startNode(reading.perform, { action: 'plan' });
    await Promise.all([changing.gate.reached, reading.gate.reached]);
    for (const { run, handle } of [changes, reads]) {
      run.stop = 'cancel';
      await handle.signal(nodeMessages.stop, { mode: 'cancel' });
    }
    expect(await reads.handle.result()).toMatchObject({ status: 'aborted' });
    changing.gate.open();
    expect(await changes.handle.result()).toEqual(succeeded);
  });

  it('is none when the records know nothing of it', async () => {
    const { gate, perform } = interruptible();
    const node = await startNode(perform);
    await gate.reached;
    await node.handle.signal(nodeMessages.stop, { mode: 'abort' });
    await until(() => node.run.stopsLookedUp > 0);
    // One more step of the workflow, after that of the answer.
    await node.decide({ complete: false });
    gate.open();
    expect(await node.handle.result()).toEqual(succeeded);
  });

  it('of an operator in Temporal interrupts the tool, too', async () => {
    const { gate, perform } = interruptible();
    const node = await startNode(perform);
    await gate.reached;
    await node.handle.cancel();
    expect(await node.handle.result()).toMatchObject({ status: 'aborted', changedState: true });
  });
});

describe('a call that is lost', () => {
  const lost = (): ApplicationFailure => ApplicationFailure.nonRetryable('its worker is gone', 'internal');

  it('is settled once, and the node ends as that call says', async () => {
    const settled: NodeResult = { status: 'aborted', message: 'its tool is over', changedState: true };
    const node = await startNode(({ mode }) => {
      if (mode === 'settle') return settled;
      throw lost();
    });
    expect(await node.handle.result()).toEqual(settled);
    expect(triesOf(node.run)).toEqual([
      ['run', 1],
      ['settle', 1],
    ]);
  });

  it('leaves a node that may have changed something when nobody can settle it', async () => {
    const node = await startNode(() => {
      throw lost();
    });
    expect(await node.handle.result()).toMatchObject({ status: 'failed', class: 'internal', changedState: true });
  });
});
