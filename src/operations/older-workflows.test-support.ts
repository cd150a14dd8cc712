/** Workflows whose steps differ from those of gateway-workflows.test-support.ts and of the real ones. */
import { ParentClosePolicy, sleep, startChild } from '@temporalio/workflow';

interface Input {
  readonly child?: { readonly workflowId: string; readonly taskQueue: string };
}

export async function environment({ child }: Input): Promise<void> {
  if (child !== undefined)
    await startChild(deployment, { ...child, args: [], parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL });
  await sleep('1 day');
}

export async function deployment(): Promise<void> {
  await sleep('1 day');
}
