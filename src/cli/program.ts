import type { Command } from 'commander';
import { createRegistry, wantsJson } from './cli.ts';
import type { Registry } from './cli.ts';
import { answerCompletion, completionWord } from './completion/answer.ts';
import { shapeOf } from './completion/shape.ts';
import { describeFailure, machineFailure } from './errors.ts';
import type { Io } from './io.ts';
import { ownVersion } from './package-root.ts';
import type { SessionDependencies } from './session.ts';
import { realDependencies } from './session.ts';
import { styleFor } from './text/style.ts';

const examples = `Examples:
  windlass demo                     everything on this machine, with an example
  windlass init my-shop             a starter of your own
  windlass deploy ./my-shop         deploy a directory
  windlass deploy shop/eks          one node of an environment
  windlass logs -f shop/eks         follow its log
  windlass destroy shop             in reverse order, after a question
`;

interface ProgramOptions {
  readonly io: Io;
  readonly dependencies: SessionDependencies;
  readonly onExit: (code: number) => void;
  readonly quiet?: boolean;
}

type Add = (registry: Registry) => void;

/** Commands that one file makes, by their names; other ways to call them are found by loading everything. */
interface Part {
  readonly names: readonly string[];
  readonly load: () => Promise<Add>;
}

const part = (names: readonly string[], load: () => Promise<Add>): Part => ({ names, load });

/** As the help lists them. A command line loads only the part that it names: most of a start is loading. */
const sections: readonly (readonly [heading: string, parts: readonly Part[]])[] = [
  [
    'To begin:',
    [
      part(['demo'], async () => (await import('./commands/demo.ts')).addDemo),
      part(['up', 'server', 'worker', 'test'], async () => (await import('./commands/serve.ts')).addServe),
      part(['init'], async () => (await import('./commands/init.ts')).addInit),
      part(['validate'], async () => (await import('./commands/validate.ts')).addValidate),
    ],
  ],
  [
    'Runs:',
    [
      part(['deploy'], async () => (await import('./commands/deploy.ts')).addDeploy),
      part(['plan'], async () => (await import('./commands/destroy-plan.ts')).addPlan),
      part(['destroy'], async () => (await import('./commands/destroy-plan.ts')).addDestroy),
      part(['status'], async () => (await import('./commands/status.ts')).addStatus),
      part(['logs'], async () => (await import('./commands/logs.ts')).addLogs),
      part(['graph'], async () => (await import('./commands/look.ts')).addGraph),
    ],
  ],
  [
    'Decisions and repairs:',
    [
      part(['approve', 'reject'], async () => (await import('./commands/decide.ts')).addDecide),
      part(
        ['cancel', 'abort', 'resume', 'pause', 'continue', 'retry', 'skip'],
        async () => (await import('./commands/control.ts')).addControl,
      ),
      part(['rollback'], async () => (await import('./commands/rollback.ts')).addRollback),
    ],
  ],
  [
    'An environment that lives:',
    [
      part(['schedule'], async () => (await import('./commands/life.ts')).addSchedules),
      part(['ttl'], async () => (await import('./commands/ttl-lock.ts')).addTtl),
      part(['drift'], async () => (await import('./commands/life.ts')).addDrift),
      part(['lock', 'unlock'], async () => (await import('./commands/ttl-lock.ts')).addLocks),
    ],
  ],
  [
    'Records:',
    [
      part(['environment', 'env'], async () => (await import('./commands/environments.ts')).addEnvironments),
      part(['template'], async () => (await import('./commands/templates.ts')).addTemplates),
      part(['project', 'organization', 'org'], async () => (await import('./commands/projects.ts')).addProjects),
      part(['variable'], async () => (await import('./commands/variables.ts')).addVariables),
      part(['deployment'], async () => (await import('./commands/history.ts')).addDeployments),
      part(['approval'], async () => (await import('./commands/history.ts')).addApprovals),
      part(['state'], async () => (await import('./commands/state.ts')).addState),
      part(['key'], async () => (await import('./commands/keys.ts')).addKeys),
      part(['pool'], async () => (await import('./commands/pools.ts')).addPools),
      part(['audit'], async () => (await import('./commands/history.ts')).addAudit),
    ],
  ],
  [
    'The installation:',
    [
      part(['backup', 'restore'], async () => (await import('./commands/backup.ts')).addBackup),
      part(['move'], async () => (await import('./commands/move.ts')).addMove),
    ],
  ],
  [
    'This command:',
    [
      // It speaks of all the others, so its name loads them all.
      part([], async () => (await import('./commands/help.ts')).addHelp),
      part(['login', 'logout', 'whoami', 'version'], async () => (await import('./commands/account.ts')).addAccount),
      part(['completion'], async () => (await import('./commands/completion.ts')).addCompletion),
    ],
  ],
];

/** The commands, in the order in which people meet them; only the part with `only` when there is one. */
export async function createProgram(options: ProgramOptions, only?: string): Promise<Command> {
  const registry = createRegistry({ ...options, version: ownVersion() });
  const named = sections.flatMap(([, parts]) => parts).find(({ names }) => only !== undefined && names.includes(only));
  for (const [heading, parts] of sections) {
    registry.program.commandsGroup(heading);
    for (const each of parts) if (named === undefined || each === named) (await each.load())(registry);
  }
  registry.program.addHelpText('before', examples);
  return registry.program;
}

const takeValues: ReadonlySet<string> = new Set(['--url', '--token', '-o', '--output']);

/** The word that names the command; undefined when there is none before the options of the program itself. */
function commandWord(words: readonly string[]): string | undefined {
  return words.find((word, index) => !word.startsWith('-') && !takeValues.has(words[index - 1] ?? ''));
}

/** Runs one command line, without the names of the programs before it. Answers the exit code and never throws. */
export async function runCli(
  words: readonly string[],
  io: Io,
  dependencies: SessionDependencies = realDependencies,
): Promise<number> {
  let code = 0;
  try {
    const options = { io, dependencies, onExit: (exit: number) => (code = exit), quiet: wantsJson(words) };
    const program = await createProgram(options, commandWord(words));
    if (words[0] === completionWord) {
      for (const line of await answerCompletion(shapeOf(program), words.slice(1), io.env)) io.stdout.write(`${line}\n`);
      return code;
    }
    await program.parseAsync([...words], { from: 'user' });
    return code;
  } catch (error) {
    const json = wantsJson(words);
    const machine = json ? machineFailure(error) : null;
    if (json) {
      if (machine) io.stderr.write(`${JSON.stringify({ error: machine })}\n`);
      return machine?.exitCode ?? code;
    }
    const style = styleFor(io.stderr.isTTY, io.env, words.includes('--no-color'));
    const failure = describeFailure(error, style, io.env['WINDLASS_DEBUG'] === '1');
    for (const line of failure.lines) io.stderr.write(`${line}\n`);
    return failure.exitCode;
  }
}
