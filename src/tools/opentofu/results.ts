import { join } from 'node:path';
import { z } from 'zod';
import type { Plan } from '../../model/index.ts';
import { readPlainFile } from '../../process/index.ts';
import { ToolError } from '../runner.ts';
import type { ApplyResult, Outputs, PlanResult } from '../runner.ts';
import { exchangeDirectory } from '../sandbox.ts';
import { outputValueSchema } from './events.ts';
import type { OutputValue, ToolReport } from './events.ts';
import { invokeForText } from './invoke.ts';
import { readManagedState } from './managed-state.ts';
import { planState } from './plan-file.ts';
import { parsePlanJson } from './plan-json.ts';
import type { ParsedPlan } from './plan-json.ts';
import { withoutAbort } from './session.ts';
import type { Session } from './session.ts';
import { toOutputs } from './values.ts';

/** What an apply changed, as far as its events tell. */
export function appliedPlan(report: ToolReport): Plan | null {
  const counts = report.applyCounts ?? report.planCounts;
  if (counts === null) return null;
  const resources = [...report.planned.values()].filter((change) => change.action !== 'noop');
  return { counts, hasChanges: counts.add + counts.change + counts.destroy > 0, resources, state: null };
}

/** Outputs of a run that ended well. Only sensitive ones have to be looked up: the tool does not print their values. */
async function outputsOf(session: Session, values: Readonly<Record<string, OutputValue>>): Promise<Outputs> {
  if (!Object.values(values).some((output) => output.sensitive)) return toOutputs(values);
  const { run } = session;
  if (session.managed && run.state !== null) {
    return toOutputs((await readManagedState(run.state, run.signal))?.outputs ?? {});
  }
  // Changes were made before: a crash from here on must find their result.
  const args = ['output', '-json', '-no-color'];
  await run.enter('outputs', { changes: true });
  const text = await invokeForText(session, { stage: 'outputs', enter: false, args });
  return toOutputs(z.record(z.string(), outputValueSchema).parse(JSON.parse(text)));
}

export async function toApplyResult(session: Session, report: ToolReport): Promise<ApplyResult> {
  // A stop that comes now finds nothing to stop: the tool has ended well, and what it made has to be known.
  return { outputs: await outputsOf(withoutAbort(session), report.outputs ?? {}), plan: appliedPlan(report) };
}

const planName = 'plan.bin';

export function planPath(session: Session): string {
  return join(exchangeDirectory(session.run), planName);
}

/** Reads a plan that was just made. */
export async function readPlan(session: Session, hasChanges: boolean): Promise<PlanResult & Pick<ParsedPlan, 'drift'>> {
  const path = planPath(session);
  const show = (name: string, flags: readonly string[]) =>
    invokeForText(session, { stage: 'plan', name, enter: false, args: ['show', ...flags, path] });
  const artifact = readPlainFile(path);
  if (artifact === null) {
    throw new ToolError(
      { class: 'tool', message: `${session.tool} says that it has a plan, and there is none` },
      false,
    );
  }
  const [text, jsonText] = await Promise.all([show('show-text', ['-no-color']), show('show-json', ['-json'])]);
  let parsed: ParsedPlan;
  try {
    parsed = parsePlanJson(JSON.parse(jsonText), { hasChanges, state: planState(artifact) });
  } catch (cause) {
    throw new ToolError(
      {
        class: 'tool',
        message: `${session.tool} describes its plan in a way that Windlass does not know: ${String(cause).slice(0, 200)}`,
        hint: 'Use a version of the tool that Windlass supports.',
      },
      false,
    );
  }
  return { plan: parsed.plan, artifact, text, json: parsed.json, drift: parsed.drift };
}
