import { z } from 'zod';
import type { Plan, Stage } from '../../src/model/index.ts';
import { defaultLadder } from '../../src/process/index.ts';
import type { ProcessEnd } from '../../src/process/index.ts';
import {
  buildWorkTree,
  clearCall,
  describeFailure,
  followCall,
  recoverCall,
  sandboxOf,
  stackDirectory,
  startCall,
  ToolError,
} from '../../src/tools/index.ts';
import type { ApplyResult, Follower, PlanResult, RunnerOptions, StackRun, StackRunner } from '../../src/tools/index.ts';

/** Writes what it does beside its target, and holds still as long as there is a file `<target>.hold`. */
const program = `
set -eu
target=$TOY_TARGET
case "$1" in
  plan) if test ! -e "$target"; then echo add; elif cmp -s stack.toy "$target"; then echo none; else echo change; fi ;;
  apply)
    echo apply >> "$target.journal"
    while test -e "$target.hold"; do sleep 0.1; done
    grep -q broken stack.toy && { echo 'Error: access denied by the toy box' >&2; exit 3; }
    cp stack.toy "$target" ;;
  destroy) echo destroy >> "$target.journal"; rm -f "$target" ;;
esac
`;

type Verb = 'plan' | 'apply' | 'destroy';
const settings = z.object({ extra: z.object({ toyTarget: z.string() }) });
const targetOf = (run: StackRun): string => settings.parse(run.config).extra.toyTarget;

export function createToyRunner({ ladder = defaultLadder }: RunnerOptions): StackRunner {
  function follower(run: StackRun) {
    const kept = { text: '' };
    const onOutput: Follower['onOutput'] = (_stream, text, fresh) => {
      kept.text += text;
      if (fresh) run.log(text);
    };
    return { kept, follow: { onOutput, ladder, scope: 'group' } satisfies Follower };
  }

  function check(verb: Verb, { code, stopped }: ProcessEnd, text: string): string {
    if (code === 0 && stopped === null) return text.trim();
    throw new ToolError(describeFailure({ diagnostics: [], text, code, stopped, stage: verb }), verb !== 'plan');
  }

  async function call(run: StackRun, verb: Verb, stage: Stage): Promise<string> {
    const what = `toy ${verb}`;
    await clearCall(run, { name: verb, what });
    const { kept, follow } = follower(run);
    const toyCall = {
      ...{ name: verb, what, stage, changes: verb !== 'plan' },
      argv: ['/bin/sh', '-c', program, 'toy', verb],
      cwd: stackDirectory(run),
      env: { ...run.environment, TOY_TARGET: targetOf(run) },
      sandbox: await sandboxOf(run),
    };
    return check(verb, await startCall(run, toyCall, follow), kept.text);
  }

  const made = (run: StackRun): ApplyResult => ({
    outputs: [{ name: 'target', type: 'text', value: targetOf(run), sensitive: false }],
    plan: null,
  });

  async function plan(run: StackRun, destroys: boolean): Promise<PlanResult> {
    const found = await call(run, 'plan', 'plan');
    const counts = {
      add: !destroys && found === 'add' ? 1 : 0,
      change: !destroys && found === 'change' ? 1 : 0,
      destroy: destroys && found !== 'add' ? 1 : 0,
    };
    const planned: Plan = { counts, hasChanges: Object.values(counts).includes(1), resources: [], state: null };
    return { plan: planned, artifact: null, text: `${found}\n`, json: null };
  }

  const deploy = async (run: StackRun): Promise<ApplyResult> => {
    await call(run, 'apply', 'apply');
    return made(run);
  };

  return {
    async prepare(run) {
      if (run.state !== null) throw new Error('a tool without a state has got access to one');
      await buildWorkTree(run);
    },
    plan: (run) => plan(run, false),
    apply: deploy,
    deploy,
    planDestroy: (run) => plan(run, true),
    async destroy(run) {
      await call(run, 'destroy', 'destroy');
      return { outputs: [], plan: null };
    },
    async detectDrift(run) {
      const found = await plan(run, false);
      return { drifted: found.plan.hasChanges, plan: found };
    },
    recover(run, evidence) {
      const verb = evidence.stage === 'destroy' ? 'destroy' : 'apply';
      const detail = `the toy's ${verb} was cut off`;
      return recoverCall(run, evidence, {
        readers: ['plan'],
        describeReader: (name) => `The toy's ${name}`,
        changer: verb,
        what: 'The toy',
        async conclude() {
          const { kept, follow } = follower(run);
          const end = await followCall(run, verb, follow);
          if (end.code === null && end.stopped === null) return { kind: 'interrupted', detail, lockId: null };
          check(verb, end, kept.text);
          return { kind: 'finished', result: verb === 'apply' ? made(run) : { outputs: [], plan: null } };
        },
        killed: () => Promise.resolve({ kind: 'interrupted', detail, lockId: null }),
        onOtherHost: () => ({ kind: 'unknown', detail, lockId: null }),
      });
    },
  };
}
