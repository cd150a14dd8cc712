import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Plan, Stage } from '../../model/index.ts';
import { describeFailure } from '../failures.ts';
import type { RunnerOptions } from '../options.ts';
import { clearCall, followCall, recoverCall, startCall } from '../calls.ts';
import type { Call, Follower } from '../calls.ts';
import { defaultLadder } from '../../process/index.ts';
import type { ProcessEnd } from '../../process/index.ts';
import { ToolError } from '../runner.ts';
import type {
  ApplyResult,
  CrashEvidence,
  Drift,
  HeldLock,
  PlanResult,
  Recovery,
  StackRun,
  StackRunner,
} from '../runner.ts';
import { exchangeDirectory, sandboxOf } from '../sandbox.ts';
import { buildWorkTree, stackDirectory } from '../work-tree.ts';
import { readOutputs } from './outputs.ts';
import { findScript, scriptCommand, variableEnvironment } from './scripts.ts';
import type { Script, ScriptName } from './scripts.ts';

const nothing: Plan = { counts: { add: 0, change: 0, destroy: 0 }, hasChanges: false, resources: [], state: null };
const something: Plan = { ...nothing, hasChanges: true };

/** The end of what a script printed, enough to show its last words and hand on a plan. */
const keptText = 512 * 1024;

function filesOf(run: StackRun, name: ScriptName) {
  return {
    variables: join(exchangeDirectory(run), `${name}-variables.json`),
    outputs: join(exchangeDirectory(run), `${name}-outputs`),
    script: join(exchangeDirectory(run), `${name}-script`),
  };
}

/** Somebody else than Windlass has killed the script, or what it ran last. Other high codes are a script's own. */
function endedFromOutside({ code, stopped }: ProcessEnd): boolean {
  return stopped === null && (code === null || (code > 128 && code < 128 + 32));
}

const unfinished: HeldLock = { reason: 'nobody knows what it had made by then', lockId: null };

interface ScriptEnd {
  readonly code: number;
  readonly text: string;
}

/** Runs scripts: whatever no other runner knows. A stack without any script is a node that does nothing, at no cost. */
export function createShellRunner(options: RunnerOptions): StackRunner {
  const ladder = options.ladder ?? defaultLadder;

  function follower(run: StackRun) {
    const kept = { text: '' };
    const onOutput: Follower['onOutput'] = (_stream, text, fresh) => {
      kept.text = (kept.text + text).slice(-keptText);
      if (fresh) run.log(text);
    };
    // A shell does not pass an interrupt on to what it runs, so the whole group hears it, as with Ctrl-C.
    return { kept, follow: { onOutput, ladder, scope: 'group' } satisfies Follower };
  }

  /** The end of a script that is over. Throws a ToolError unless its exit code is one of these. */
  async function end(
    run: StackRun,
    name: ScriptName,
    ended: ProcessEnd,
    text: string,
    good: readonly number[],
  ): Promise<ScriptEnd> {
    const files = filesOf(run, name);
    await rm(files.variables, { force: true });
    await rm(files.script, { force: true });
    if (ended.code !== null && ended.stopped === null && good.includes(ended.code)) return { code: ended.code, text };
    const failure = { diagnostics: [], text, code: ended.code, stopped: ended.stopped, stage: `the ${name} script` };
    const changes = name === 'deploy' || name === 'destroy';
    throw new ToolError(describeFailure(failure), changes, changes && endedFromOutside(ended) ? unfinished : null);
  }

  async function start(
    run: StackRun,
    name: ScriptName,
    stage: Stage,
    script: Script,
    good: readonly number[],
  ): Promise<ScriptEnd> {
    const changes = name === 'deploy' || name === 'destroy';
    const what = `${name} script`;
    await clearCall(run, { name, what });
    const files = filesOf(run, name);
    const sandbox = await sandboxOf(run);
    for (const file of Object.values(files)) await rm(file, { recursive: true, force: true });
    await writeFile(files.outputs, '', { mode: 0o600, flag: 'wx' });
    const values = Object.fromEntries(run.variables.map((variable) => [variable.name, variable.value]));
    await writeFile(files.variables, JSON.stringify(values), { mode: 0o600 });
    const cwd = stackDirectory(run);
    let path = join(cwd, script.kind === 'file' ? script.name : '');
    if (script.kind === 'text') {
      path = files.script;
      await writeFile(path, script.text.endsWith('\n') ? script.text : `${script.text}\n`, { mode: 0o700 });
    }
    const { follow, kept } = follower(run);
    const call: Call = {
      ...{ name, what, stage, changes, cwd, sandbox },
      argv: scriptCommand(path),
      env: {
        ...run.environment,
        ...variableEnvironment(run.variables),
        WINDLASS_OUTPUT: files.outputs,
        WINDLASS_VARIABLES: files.variables,
      },
    };
    return end(run, name, await startCall(run, call, follow), kept.text, good);
  }

  function result(run: StackRun, name: ScriptName): ApplyResult {
    const path = filesOf(run, name).outputs;
    return { outputs: name === 'deploy' ? readOutputs(path) : [], plan: null };
  }

  async function change(run: StackRun, name: 'deploy' | 'destroy'): Promise<ApplyResult> {
    const script = findScript(run, name);
    if (script === null) {
      if (name === 'destroy' && findScript(run, 'deploy') !== null)
        run.log('There is no destroy script, so nothing is undone.\n');
      return { outputs: [], plan: nothing };
    }
    await start(run, name, name === 'deploy' ? 'apply' : 'destroy', script, [0]);
    return result(run, name);
  }

  async function ask(run: StackRun, name: 'plan' | 'drift', script: Script): Promise<PlanResult> {
    const { code, text } = await start(run, name, 'plan', script, [0, 2]);
    return { plan: code === 2 ? something : nothing, artifact: null, text, json: null };
  }

  function unknowable(run: StackRun, name: 'deploy' | 'destroy'): PlanResult {
    const changes = findScript(run, name) !== null;
    const text = changes
      ? `What the ${name} script would change cannot be known${name === 'deploy' ? ': the stack has no plan script' : ''}.\n`
      : `There is no ${name} script: nothing would be done.\n`;
    return { plan: changes ? something : nothing, artifact: null, text, json: null };
  }

  function recover(run: StackRun, evidence: CrashEvidence): Promise<Recovery> {
    const name: ScriptName = evidence.stage === 'destroy' ? 'destroy' : 'deploy';
    const killed: Recovery = {
      kind: 'interrupted',
      detail: `the ${name} script was killed before it could end; it is run again from its start`,
      lockId: null,
    };
    return recoverCall(run, evidence, {
      readers: ['plan', 'drift'],
      describeReader: (reader) => `The ${reader} script of an earlier call`,
      changer: name,
      what: 'The script',
      async conclude() {
        const { follow, kept } = follower(run);
        const ended = await followCall(run, name, follow);
        if (ended.code === null && ended.stopped === null) return killed;
        await end(run, name, ended, kept.text, [0]);
        return { kind: 'finished', result: result(run, name) };
      },
      killed: () => Promise.resolve(killed),
      onOtherHost(host) {
        const detail = `the ${name} script ran on ${host ?? 'another machine'} and may go on there`;
        return { kind: 'unknown', detail, lockId: null };
      },
    });
  }

  return {
    async prepare(run) {
      const names: readonly ScriptName[] = ['deploy', 'destroy', 'plan', 'drift'];
      const scripts = names.map((name) => findScript(run, name)).filter((script) => script !== null);
      if (scripts.length > 0) await buildWorkTree(run, { beside: scripts.some((script) => script.kind === 'text') });
    },
    async plan(run) {
      const script = findScript(run, 'plan');
      return script === null ? unknowable(run, 'deploy') : ask(run, 'plan', script);
    },
    planDestroy: async (run) => unknowable(run, 'destroy'),
    apply: (run) => change(run, 'deploy'),
    deploy: (run) => change(run, 'deploy'),
    destroy: (run) => change(run, 'destroy'),
    async detectDrift(run): Promise<Drift> {
      const drift = findScript(run, 'drift');
      const script = drift ?? findScript(run, 'plan');
      if (script === null) {
        const text = 'The stack has neither a drift nor a plan script, so drift cannot be seen.\n';
        return { drifted: false, plan: { plan: nothing, artifact: null, text, json: null } };
      }
      const plan = await ask(run, drift === null ? 'plan' : 'drift', script);
      return { drifted: plan.plan.hasChanges, plan };
    },
    recover,
  };
}
