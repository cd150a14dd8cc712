import { statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { z } from 'zod';
import type { Masker } from '../masking/index.ts';
import { parseCustomFlow } from '../definition/index.ts';
import type { CustomFlow, CustomFlowFile, HookCommand, HookStep } from '../definition/index.ts';
import type { NodeAction, NodeSnapshot } from '../model/index.ts';
import { messageOf, WindlassError } from '../model/index.ts';
import { LeftRunningError } from '../process/index.ts';
import { changeWorkTree, runHook, stopLeftHooks } from '../tools/index.ts';
import type { StackRun, StackRunner } from '../tools/index.ts';
import { readTextFile } from '../sources/index.ts';

const fileNames = ['env0.yml', 'env0.yaml'];
const maximumFileBytes = 1024 * 1024;
/** With this variable a command asks for approval of the plan. */
const approvalVariable = 'ENV0_REQUIRES_APPROVAL';
/** A value of such a name is hidden in the logs that follow. */
const secretName = /SECRET|TOKEN|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY/i;
const variablesSchema = z.record(z.string(), z.string());

/** The commands of the user around the steps of one node's run. */
export interface NodeFlow {
  /** The runner with the commands around its steps. */
  wrap(runner: StackRunner): StackRunner;
  /** Some command stands between plan and apply, or wants to see the plan: both have to be steps of their own. */
  readonly plansFirst: boolean;
  /** A command that has run so far asks for approval. */
  readonly asksApproval: boolean;
  /** What the commands have exported, to be taken up by the call that applies the approved plan. */
  exported(): Uint8Array;
  adopt(exported: Uint8Array): void;
  /** Commands for the ending. Those of a failure are told about in the log and change nothing more. */
  ended(how: 'success' | 'failure'): Promise<void>;
}

export interface NodeFlowOptions {
  readonly run: StackRun;
  readonly action: NodeAction;
  readonly masker: Masker;
}

/** Reads the custom flow of a stack: beside its code, or at the root of its source. Null, for the price of a look, when it has none. */
export async function openFlow(
  source: string,
  snapshot: NodeSnapshot,
  options: NodeFlowOptions,
): Promise<NodeFlow | null> {
  const path = [...new Set([snapshot.source.path, '.'])]
    .flatMap((directory) => fileNames.map((name) => posix.join(directory, name)))
    .find((candidate) => statSync(join(source, candidate), { throwIfNoEntry: false })?.isFile() === true);
  if (path === undefined) return null;
  const { flow, problems } = parseCustomFlow(await readTextFile(source, path, maximumFileBytes), { fileName: path });
  if (flow === null) {
    throw new WindlassError(
      'invalidDefinition',
      `the custom flow ${path} cannot be used: ${problems[0]?.message ?? 'it is not one'}`,
      {
        class: 'definition',
        problems,
        hint: 'correct the file, then deploy again',
      },
    );
  }
  return makeFlow(flow, options);
}

function makeFlow(file: CustomFlowFile, { run, action, masker }: NodeFlowOptions): NodeFlow {
  const flow: CustomFlow = action === 'destroy' ? file.destroy : file.deploy;
  const changing = action === 'destroy' ? 'destroy' : 'apply';
  const exported: Record<string, string> = {};
  let changed = false;
  let completed = false;

  /** The run with what the commands have exported so far; a new object, because runners keep what they read of an old one. */
  let current = run;
  const take = (values: Readonly<Record<string, string>>): void => {
    for (const [name, value] of Object.entries(values)) {
      if (name.startsWith('WINDLASS_')) continue;
      exported[name] = value;
      if (secretName.test(name)) masker.add(value);
    }
    if (Object.keys(values).length > 0) current = { ...run, environment: { ...run.environment, ...exported } };
  };

  async function commands(list: readonly HookCommand[], where: string): Promise<void> {
    if (list.length === 0) return;
    await run.enter('hooks', { changes: false });
    for (const { name, run: command, environment } of list) {
      run.log(`${where}: ${name}\n`);
      take(await runHook(current, { name, command, shell: file.shell, environment }, changed));
    }
  }

  const before = (step: HookStep): Promise<void> => commands(flow.hooks[step].before, `before ${step}`);
  const after = (step: HookStep): Promise<void> => commands(flow.hooks[step].after, `after ${step}`);

  async function around<T>(step: HookStep, work: (now: StackRun) => Promise<T>): Promise<T> {
    await before(step);
    const result = await work(current);
    await after(step);
    return result;
  }

  async function change<T>(work: (now: StackRun) => Promise<T>, begun: 'not yet' | 'done' = 'not yet'): Promise<T> {
    if (begun === 'not yet') await before(changing);
    const result = await work(current);
    changed = true;
    await after(changing);
    await before('outputs');
    await after('outputs');
    return result;
  }

  return {
    wrap: (runner) => ({
      async prepare() {
        await stopLeftHooks(run);
        await changeWorkTree(run, async () => {
          await before('prepare');
          await after('prepare');
          await before('init');
        });
        await runner.prepare(current);
        await after('init');
      },
      plan: () => around('plan', (now) => runner.plan(now)),
      planDestroy: () => around('plan', (now) => runner.planDestroy(now)),
      detectDrift: () => around('plan', (now) => runner.detectDrift(now)),
      apply: (_, artifact) => change((now) => runner.apply(now, artifact)),
      deploy: () => change((now) => runner.deploy(now)),
      destroy: () => change((now) => runner.destroy(now)),
      async recover(_, evidence) {
        const recovery = await runner.recover(current, evidence);
        if (recovery.kind === 'finished') await change(async () => undefined, 'done');
        return recovery;
      },
    }),
    get plansFirst() {
      const { plan } = flow.hooks;
      return (
        [plan.before, plan.after, flow.hooks[changing].before].some((list) => list.length > 0) || this.asksApproval
      );
    },
    get asksApproval() {
      return exported[approvalVariable]?.trim().toLowerCase() === 'true';
    },
    exported: () => Buffer.from(JSON.stringify(exported)),
    adopt: (kept) => take(variablesSchema.parse(JSON.parse(Buffer.from(kept).toString('utf8')))),
    async ended(how) {
      if (action !== 'deploy' && action !== 'destroy') return;
      if (how === 'success') {
        await commands(flow.onSuccess, 'on success');
        completed = true;
        await commands(flow.onCompletion, 'on completion');
        return;
      }
      for (const [list, where] of [
        [flow.onFailure, 'on failure'] as const,
        [completed ? [] : flow.onCompletion, 'on completion'] as const,
      ]) {
        try {
          await commands(list, where);
        } catch (error) {
          if (error instanceof LeftRunningError) throw error;
          run.log(`${messageOf(error)}\n`);
        }
      }
    },
  };
}
