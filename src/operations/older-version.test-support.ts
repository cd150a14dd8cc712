import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, Worker } from '@temporalio/worker';
import type { NativeConnection, WorkflowBundleWithSourceMap } from '@temporalio/worker';

interface Working {
  readonly worker: Worker;
  readonly ended: Promise<void>;
}

/** Workflows that code of another version began, and that today's code is to go on with. */
export interface OlderVersion {
  /** Begins a workflow with the older code, and leaves it to the code of today. `childId` is a deployment it starts. */
  begin(type: 'environment' | 'deployment', workflowId: string, childId?: string): Promise<void>;
  stop(): Promise<void>;
}

/** `today` is the file with today's workflows. */
export function createOlderVersion(
  { client, connection }: { readonly client: Client; readonly connection: NativeConnection },
  today: string,
): OlderVersion {
  const older = require.resolve('./older-workflows.test-support.ts');
  const bundles = new Map<string, Promise<WorkflowBundleWithSourceMap>>();
  const working: Working[] = [];

  async function work(taskQueue: string, workflowsPath: string): Promise<Working> {
    const bundle =
      bundles.get(workflowsPath) ?? bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
    bundles.set(workflowsPath, bundle);
    const worker = await Worker.create({ connection, taskQueue, workflowBundle: await bundle });
    return { worker, ended: worker.run() };
  }

  return {
    async begin(type, workflowId, childId) {
      // A queue of its own, so that each version works on it only as long as it should.
      const taskQueue = `upgraded-${randomUUID()}`;
      const before = await work(taskQueue, older);
      const child = childId === undefined ? {} : { child: { workflowId: childId, taskQueue } };
      const handle = await client.workflow.start(type, { workflowId, taskQueue, args: [child] });
      const begun = async (): Promise<boolean> =>
        (await handle.fetchHistory()).events?.some((event) => event.timerStartedEventAttributes) === true;
      while (!(await begun())) await new Promise((resolve) => setTimeout(resolve, 50));
      before.worker.shutdown();
      await before.ended;
      working.push(await work(taskQueue, today));
    },
    async stop() {
      for (const { worker } of working) worker.shutdown();
      await Promise.all(working.map(({ ended }) => ended));
    },
  };
}
