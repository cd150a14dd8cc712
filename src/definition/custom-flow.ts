/** Custom flow files (`env0.yml`, `env0.yaml`): commands of the user around the steps of a run. */
import type { Position, Problem } from '../model/index.ts';
import { flowSteps, toolDefinitions } from '../tools/catalogue.ts';
import type { FlowStep } from '../tools/catalogue.ts';
import { makeProblemList } from './problems.ts';
import type { ProblemList } from './problems.ts';
import { read } from './read.ts';
import type { Naming, Piece } from './schema.ts';
import {
  addIssue,
  addKeyIssue,
  addTypeIssue,
  derived,
  either,
  entries,
  list,
  mapping,
  piece,
  sameSchema,
} from './schema.ts';
import { anything, boolean, judge, oneOf, plainText } from './schema-values.ts';
import { quote } from './text.ts';
import { has, isAbsent, parseYaml, valueAt } from './yaml-tree.ts';

/** Places of a run, whatever the tool calls them. */
export const hookSteps = flowSteps;
export type HookStep = FlowStep;

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
 * Where a step that a file names is in a run of ours: those of all tools, and two that every run has. The state is stored by
 * Windlass itself, after the outputs are read: hooks around that step come last.
 */
function stepsOfAll(phase: CustomFlow['phase']): Readonly<Record<string, HookStep>> {
  const tools = toolDefinitions().map(({ steps }) => steps);
  const both: Record<string, HookStep>[] = [{ setupVariables: 'prepare' }, ...tools.map((steps) => steps.both)];
  return Object.assign({}, ...both, ...tools.map((steps) => steps[phase]), {
    storeState: 'outputs',
  }) as (typeof both)[0];
}
const stepsOf = { deploy: stepsOfAll('deploy'), destroy: stepsOfAll('destroy') };
const longestCommand = 20_000;

const script = plainText.check(
  judge((found) => {
    if (found.trim() === '') return ' is empty';
    if (found.length > longestCommand) return ` is longer than ${longestCommand} characters; put it in a script`;
    return found.includes('\0') ? ' holds a NUL character' : undefined;
  }),
);

/** A command that is a text. */
const textCommand = derived(script, (run, { node }): HookCommand => {
  return { name: firstLine(run), run, environment: {}, position: node.position };
});

const environmentValue = piece(({ node, entry }, issues): readonly [string, string] | undefined => {
  const name = entry?.key ?? '';
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    addIssue(issues, (what) => `${what} cannot be the name of an environment variable`, { at: 'key' });
  return node.kind === 'scalar' ? [name, node.text] : addTypeIssue(issues, node, 'text');
});

const objectCommand = mapping(
  {
    name: plainText.optional(),
    run: textCommand.optional(),
    use: anything.optional(),
    env: entries(environmentValue, {
      expected: 'a mapping of names to texts',
      naming: (key, name) => `${quote(key)} in ${name}`,
    }).optional(),
    inputs: anything.optional(),
    executeAfterChild: boolean.optional(),
  },
  { naming: (key, name) => (key === 'run' ? name : key === 'name' ? `the name of ${name}` : `${key} of ${name}`) },
  (fields, { node, issues }): HookCommand | undefined => {
    const hasRun = has(node, 'run');
    if (fields.use !== undefined) {
      const both = hasRun ? ' (and run and use exclude each other)' : '';
      const why = `which is not supported yet${both}; write what it does under run`;
      return addKeyIssue(issues, 'use', (name) => `${name} takes its step from a repository with "use", ${why}`);
    }
    if (!hasRun) return addIssue(issues, (name) => `${name} has nothing to run`);
    if (fields.inputs !== undefined)
      addKeyIssue(issues, 'inputs', (name) => `${name} has inputs, which only steps with "use" take; use env`);
    const { run, name, env = [] } = fields;
    return run && { ...run, name: name ?? run.name, environment: Object.fromEntries(env) };
  },
);

const onlyText = piece<HookCommand>((_, issues) =>
  addIssue(issues, (name) => `${name} is an object; version 1 has texts only, write "version: 2"`),
);

function commands(command: Piece<HookCommand>): Piece<HookCommand[]> {
  return list(command, { naming: (_, name) => `a command of ${name}`, orOne: true });
}

const dotted: Naming = (key, name) => `${name}.${key}`;

const none: StepHooks = { before: [], after: [] };
const noHooks = { prepare: none, init: none, plan: none, apply: none, destroy: none, outputs: none };

/** Several names of one step, as of two tools, add up, in the order of the file. */
function steps(phase: CustomFlow['phase'], command: Piece<HookCommand>): Piece<CustomFlow['hooks']> {
  const after = { after: commands(command).default([]) };
  const both = mapping({ before: commands(command).default([]), ...after }, { naming: dotted });
  const first = mapping(after, { naming: dotted }, (sides): StepHooks => ({ before: [], after: sides.after ?? [] }));
  const known = stepsOf[phase];
  const other = phase === 'deploy' ? 'destroy' : 'deploy';
  return mapping(
    { ...sameSchema(Object.keys(known), both.optional()), setupVariables: first.optional() },
    {
      naming: dotted,
      elsewhere: (key) => (Object.hasOwn(stepsOf[other], key) ? `; it is a step of ${other}` : undefined),
    },
    (fields: Readonly<Record<string, StepHooks | undefined>>, { node }) => {
      const hooks: Record<HookStep, StepHooks> = { ...noHooks };
      for (const { key } of node.entries) {
        const place = known[key];
        const step = fields[key];
        if (place === undefined || step === undefined) continue;
        const { before, after: behind } = hooks[place];
        hooks[place] = { before: [...before, ...step.before], after: [...behind, ...step.after] };
      }
      return hooks;
    },
  );
}

function flowOf(phase: CustomFlow['phase'], command: Piece<HookCommand>) {
  return mapping(
    {
      steps: steps(phase, command).optional(),
      ...sameSchema(['onSuccess', 'onFailure', 'onCompletion'], commands(command).default([])),
    },
    { naming: dotted },
    ({ steps: hooks = noHooks, ...endings }): CustomFlow => ({ ...noFlow(phase), ...endings, hooks }),
  );
}

function customFlow(command: Piece<HookCommand>): Piece<CustomFlowFile> {
  return mapping(
    {
      version: oneOf(['1', '2']),
      shell: oneOf(hookShells).optional(),
      deploy: flowOf('deploy', command).optional(),
      destroy: flowOf('destroy', command).optional(),
      task: anything.optional(),
    },
    { naming: (key) => key, missing: { version: '; write "version: 2"' } },
    ({ shell = 'sh', deploy = noFlow('deploy'), destroy = noFlow('destroy') }) => ({ shell, deploy, destroy }),
  );
}

function noFlow(phase: CustomFlow['phase']): CustomFlow {
  return { phase, hooks: noHooks, onSuccess: [], onFailure: [], onCompletion: [] };
}

const versions = { 1: customFlow(either(onlyText, textCommand)), 2: customFlow(either(objectCommand, textCommand)) };

/** Reads a custom flow of version 1 (commands are texts) or 2 (they may be objects too). Never throws for what is in the file. */
export function parseCustomFlow(text: string, options: { readonly fileName: string }): ParsedCustomFlow {
  const problems = makeProblemList(options.fileName);
  const flow = readFile(text, problems);
  if (flow !== undefined && problems.count === 0) return { flow, problems: [] };
  return { flow: null, problems: problems.sorted() };
}

function readFile(text: string, problems: ProblemList): CustomFlowFile | undefined {
  const root = parseYaml(text, problems);
  if (problems.count > 0) return undefined;
  if (root === null || isAbsent(root)) {
    problems.add({ line: 1, column: 1 }, 'the custom flow is empty; begin with "version: 2"');
    return undefined;
  }
  const version = root.kind === 'map' ? valueAt(root, 'version') : undefined;
  const first = version?.kind === 'scalar' && version.text === '1';
  return read(first ? versions[1] : versions[2], root, { problems, what: 'the custom flow' });
}

function firstLine(text: string): string {
  const line = text.trim().split('\n', 1)[0] ?? '';
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}
