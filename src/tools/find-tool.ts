import { setTimeout as sleep } from 'node:timers/promises';
import { untilAborted, WindlassError } from '../model/index.ts';
import { LeftRunningError } from '../process/index.ts';
import type { ToolLocator } from '../provision/index.ts';
import { ToolError } from './runner.ts';
import type { StackRun } from './runner.ts';

/** A tool that is on the machine is found sooner than this, also for a run that is only looked after because it was stopped. */
const foundWithinMs = 5000;

/** The tool of a run. What has to be got first is told to those who follow, and a stop does not wait for it. */
export async function findTool(tools: ToolLocator, program: string, run: StackRun): Promise<string> {
  let told = false;
  const search = tools.find(program, run.config.version, (text) => {
    if (!told) run.log(`${text}\n`);
    told = true;
    run.progress(text);
  });
  const quick = new AbortController();
  const pause = sleep(foundWithinMs, null, { signal: quick.signal }).catch(() => null);
  try {
    return (await Promise.race([search, pause])) ?? (await untilAborted(search, run.signal));
  } catch (thrown) {
    if (!run.signal.aborted) throw asMissing(thrown);
    if (run.signal.reason === 'shutdown') throw new LeftRunningError(run.workDirectory);
    throw new ToolError(
      { class: 'cancelled', message: 'stopped while its tool was being got; nothing was changed' },
      false,
    );
  } finally {
    quick.abort();
  }
}

/** A cache that cannot be used does not pass by itself, as a database that is away does. */
function asMissing(thrown: unknown): unknown {
  if (!(thrown instanceof WindlassError) || thrown.code !== 'unavailable') return thrown;
  return new WindlassError('toolMissing', thrown.message, { hint: thrown.hint, cause: thrown });
}
