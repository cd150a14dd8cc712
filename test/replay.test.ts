import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { bundleWorkflowCode, Worker } from '@temporalio/worker';
import type { WorkflowBundleWithSourceMap } from '@temporalio/worker';

const directory = join(__dirname, 'histories');
const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
  /\.json(\.gz)?$/.test(name),
);

/** Long ones are packed. */
function readHistory(name: string): unknown {
  const bytes = readFileSync(join(directory, name));
  return JSON.parse((name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8'));
}

/**
 * Workflows that are open for weeks are replayed with today's code. One that fails here would get stuck in production:
 * docs/versioning.md says what to do then.
 */
describe('recorded histories replay with the workflow code of today', () => {
  let workflowBundle: WorkflowBundleWithSourceMap;

  beforeAll(async () => {
    workflowBundle = await bundleWorkflowCode({ workflowsPath: join(__dirname, '..', 'src', 'workflows', 'index.ts') });
  });

  test('there are histories of every kind of workflow', () => {
    for (const kind of ['environment', 'deployment', 'node'])
      expect(files.some((name) => name.includes(`.${kind}.json`))).toBe(true);
  });

  test.each(files)('%s', async (name) => {
    await Worker.runReplayHistory({ workflowBundle }, readHistory(name));
  });

  /**
   * Recorded in runs of chaos and shortened: a worker died between two tasks, and the end of a child came in one step with
   * a rollback, or with a deploy for which a plan was to make way. The end of the child counts first, however the history
   * is cut into tasks.
   */
  test.each(readdirSync(join(__dirname, 'made-histories')))(
    'an update acts on what came together with it: %s',
    async (name) => {
      const history: unknown = JSON.parse(readFileSync(join(__dirname, 'made-histories', name), 'utf8'));
      await Worker.runReplayHistory({ workflowBundle }, history);
    },
  );
});
