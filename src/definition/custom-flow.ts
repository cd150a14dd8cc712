/** Custom flow files (`env0.yml`, `env0.yaml`): commands of the user around the steps of a run. */
import type { Position, Problem } from '../model/index.ts';
import { makeProblemList } from './problems.ts';
import type { ProblemList } from './problems.ts';
import { listed, quote } from './text.ts';
import type { Fields, ReaderContext } from './yaml-reader.ts';
import { readBoolean, readFields, readOneOf, readPlain, wrong } from './yaml-reader.ts';
import type { YamlEntry, YamlNode } from './yaml-tree.ts';
import { parseYaml } from './yaml-tree.ts';

/** Places of a run, whatever the tool calls them. */
export const hookSteps = ['prepare', 'init', 'plan', 'apply', 'destroy', 'outputs'] as const;
export type HookStep = (typeof hookSteps)[number];

export const hookShells = ['sh', 'bash'] as const;
export type HookShell = (typeof hookShells)[number];

export interface HookCommand {
  /** For logs; the first line of the command when the file names none. */
  readonly name: string;
  readonly run: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly position: Position;
}

export interface StepHooks {
  readonly before: readonly HookCommand[];
  readonly after: readonly HookCommand[];
}

export interface CustomFlow {
  readonly phase: 'deploy' | 'destroy';
  readonly hooks: Readonly<Record<HookStep, StepHooks>>;
  readonly onSuccess: readonly HookCommand[];
  readonly onFailure: readonly HookCommand[];
  readonly onCompletion: readonly HookCommand[];
}

export interface CustomFlowFile {
  readonly shell: HookShell;
  readonly deploy: CustomFlow;
  readonly destroy: CustomFlow;
}

export type ParsedCustomFlow =
  | { readonly flow: CustomFlowFile; readonly problems: readonly [] }
  | { readonly flow: null; readonly problems: readonly Problem[] };

/**
 * Where a tool's step is in a run of ours. The state is stored by Windlass itself, after the outputs are read: hooks around
 * that step come last.
 */
const planSteps: Readonly<Record<string, HookStep>> = {
  setupVariables: 'prepare',
  terraformInit: 'init',
  opentofuInit: 'init',
  terraformPlan: 'plan',
  opentofuPlan: 'plan',
  pulumiPreview: 'plan',
  cfCreateChangeSet: 'plan',
  k8sDiff: 'plan',
  helmDiff: 'plan',
  ansibleGalaxy: 'init',
  ansibleCheck: 'plan',
};
const stepsOf: Readonly<Record<CustomFlow['phase'], Readonly<Record<string, HookStep>>>> = {
  deploy: {
    ...planSteps,
    terraformApply: 'apply',
    opentofuApply: 'apply',
    terraformOutput: 'outputs',
    opentofuOutput: 'outputs',
    storeState: 'outputs',
    pulumiUp: 'apply',
    pulumiOutput: 'outputs',
    cfDeploy: 'apply',
    cfOutput: 'outputs',
    k8sApply: 'apply',
    helmUpgrade: 'apply',
    ansiblePlaybook: 'apply',
  },
  destroy: {
    ...planSteps,
    terraformDestroy: 'destroy',
    opentofuDestroy: 'destroy',
    storeState: 'outputs',
    pulumiDestroy: 'destroy',
    cfListStackResources: 'plan',
    cfDeleteStack: 'destroy',
    k8sDelete: 'destroy',
    helmUninstall: 'destroy',
    ansiblePlaybook: 'destroy',
  },
};
const endings = ['onSuccess', 'onFailure', 'onCompletion'] as const;
const longestCommand = 20_000;

interface FlowContext extends ReaderContext {
  readonly version: 1 | 2;
  readonly problems: ProblemList;
}

/** Reads a custom flow of version 1 (commands are texts) or 2 (they may be objects too). Never throws for what is in the file. */
export function parseCustomFlow(text: string, options: { readonly fileName: string }): ParsedCustomFlow {
  const problems = makeProblemList(options.fileName);
  const flow = read(text, problems);
  if (flow !== null && problems.count === 0) return { flow, problems: [] };
  return { flow: null, problems: problems.sorted() };
}

function read(text: string, problems: ProblemList): CustomFlowFile | null {
  const root = parseYaml(text, problems);
  if (problems.count > 0) return null;
  const open: ReaderContext = { problems, variables: undefined };
  if (root === null || (root.kind === 'scalar' && root.value === null)) {
    problems.add({ line: 1, column: 1 }, 'the custom flow is empty; begin with "version: 2"');
    return null;
  }
  const fields = readFields(open, root, {
    what: 'the custom flow',
    known: ['version', 'shell', 'deploy', 'destroy', 'task'],
  });
  if (root.kind !== 'map') return null;
  const versionEntry = fields.get('version');
  if (versionEntry === undefined) problems.add(root.position, 'the custom flow has no version; write "version: 2"');
  const version =
    versionEntry === undefined ? null : readOneOf(open, versionEntry.value, { what: 'version', choices: ['1', '2'] });
  const context: FlowContext = { ...open, version: version === '1' ? 1 : 2 };
  const shellEntry = fields.get('shell');
  const shell =
    shellEntry === undefined ? undefined : readOneOf(open, shellEntry.value, { what: 'shell', choices: hookShells });
  return {
    shell: shell ?? 'sh',
    deploy: readFlow(context, 'deploy', fields.get('deploy')),
    destroy: readFlow(context, 'destroy', fields.get('destroy')),
  };
}

function readFlow(context: FlowContext, phase: CustomFlow['phase'], entry: YamlEntry | undefined): CustomFlow {
  const hooks: Record<HookStep, { before: HookCommand[]; after: HookCommand[] }> = {
    prepare: { before: [], after: [] },
    init: { before: [], after: [] },
    plan: { before: [], after: [] },
    apply: { before: [], after: [] },
    destroy: { before: [], after: [] },
    outputs: { before: [], after: [] },
  };
  const fields: Fields =
    entry === undefined ? new Map() : readFields(context, entry.value, { what: phase, known: ['steps', ...endings] });
  const steps = fields.get('steps');
  if (steps !== undefined) readSteps(context, steps.value, { phase, hooks });
  const [onSuccess, onFailure, onCompletion] = endings.map((key) =>
    readCommands(context, fields.get(key), `${phase}.${key}`),
  );
  return { phase, hooks, onSuccess: onSuccess ?? [], onFailure: onFailure ?? [], onCompletion: onCompletion ?? [] };
}

function readSteps(
  context: FlowContext,
  node: YamlNode,
  {
    phase,
    hooks,
  }: {
    readonly phase: CustomFlow['phase'];
    readonly hooks: Record<HookStep, { before: HookCommand[]; after: HookCommand[] }>;
  },
): void {
  const known = stepsOf[phase];
  const steps = readFields(context, node, {
    what: `${phase}.steps`,
    known: Object.keys(known),
    elsewhere: (key) => elsewhere(phase, key),
  });
  // Several names of one step (terraformInit and opentofuInit) add up, in the order of the file.
  for (const step of steps.values()) {
    const place = known[step.key];
    if (place === undefined) continue;
    const what = `${phase}.steps.${step.key}`;
    const sides = readFields(context, step.value, {
      what,
      known: step.key === 'setupVariables' ? ['after'] : ['before', 'after'],
    });
    hooks[place].before.push(...readCommands(context, sides.get('before'), `${what}.before`));
    hooks[place].after.push(...readCommands(context, sides.get('after'), `${what}.after`));
  }
}

function elsewhere(phase: CustomFlow['phase'], key: string): string | undefined {
  const other = phase === 'deploy' ? 'destroy' : 'deploy';
  return Object.hasOwn(stepsOf[other], key) ? `; it is a step of ${other}` : undefined;
}

function readCommands(context: FlowContext, entry: YamlEntry | undefined, what: string): HookCommand[] {
  if (entry === undefined) return [];
  const items = entry.value.kind === 'list' ? entry.value.items : [entry.value];
  return items.flatMap((item) => {
    const command = item.kind === 'map' ? readObject(context, item, what) : readText(context, item, { what });
    return command === null ? [] : [command];
  });
}

function readText(
  context: FlowContext,
  node: YamlNode,
  options: { readonly what: string; readonly name?: string; readonly environment?: HookCommand['environment'] },
): HookCommand | null {
  const { what, environment = {} } = options;
  if (node.kind !== 'scalar') return wrong(context, node, `a command of ${what}`, 'text');
  const run = readPlain(context, node, `a command of ${what}`);
  if (run === null) return null;
  if (run.trim() === '') context.problems.add(node.position, `a command of ${what} is empty`);
  else if (run.length > longestCommand)
    context.problems.add(
      node.position,
      `a command of ${what} is longer than ${longestCommand} characters; put it in a script`,
    );
  else if (run.includes('\0')) context.problems.add(node.position, `a command of ${what} holds a NUL character`);
  else return { name: options.name ?? firstLine(run), run, environment, position: node.position };
  return null;
}

function readObject(context: FlowContext, node: YamlNode, what: string): HookCommand | null {
  const { problems } = context;
  const command = `a command of ${what}`;
  if (context.version === 1) {
    problems.add(node.position, `${command} is an object; version 1 has texts only, write "version: 2"`);
    return null;
  }
  const fields = readFields(context, node, {
    what: command,
    known: ['name', 'run', 'use', 'env', 'inputs', 'executeAfterChild'],
  });
  const use = fields.get('use');
  const run = fields.get('run');
  const after = fields.get('executeAfterChild');
  if (after !== undefined) readBoolean(context, after.value, `executeAfterChild of ${command}`);
  if (use !== undefined) {
    const both = run === undefined ? '' : ` (and ${listed(['run', 'use'], 'and')} exclude each other)`;
    problems.add(
      use.keyPosition,
      `${command} takes its step from a repository with "use", which is not supported yet${both}; write what it does under run`,
    );
    return null;
  }
  if (run === undefined) {
    problems.add(node.position, `${command} has nothing to run`);
    return null;
  }
  const inputs = fields.get('inputs');
  if (inputs !== undefined)
    problems.add(inputs.keyPosition, `${command} has inputs, which only steps with "use" take; use env`);
  const nameEntry = fields.get('name');
  const name =
    nameEntry === undefined ? undefined : (readPlain(context, nameEntry.value, `the name of ${command}`) ?? undefined);
  return readText(context, run.value, { what, name, environment: readEnvironment(context, fields, command) });
}

function readEnvironment(context: FlowContext, fields: Fields, what: string): Record<string, string> {
  const entry = fields.get('env');
  if (entry === undefined) return {};
  if (entry.value.kind !== 'map') {
    wrong(context, entry.value, `env of ${what}`, 'a mapping of names to texts');
    return {};
  }
  return Object.fromEntries(
    entry.value.entries.flatMap(({ key, keyPosition, value }) => {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key))
        context.problems.add(
          keyPosition,
          `${quote(key)} in env of ${what} cannot be the name of an environment variable`,
        );
      if (value.kind === 'scalar' && value.value === null) return [[key, '']];
      if (value.kind !== 'scalar') wrong(context, value, `${quote(key)} in env of ${what}`, 'text');
      return value.kind === 'scalar' ? [[key, value.text]] : [];
    }),
  );
}

function firstLine(text: string): string {
  const line = text.trim().split('\n', 1)[0] ?? '';
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}
