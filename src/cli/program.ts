import type { Command } from 'commander';
import { createRegistry, wantsJson } from './cli.ts';
import type { Registry } from './cli.ts';
import { addAccount } from './commands/account.ts';
import { addBackup } from './commands/backup.ts';
import { addMove } from './commands/move.ts';
import { addKeys } from './commands/keys.ts';
import { addProjects } from './commands/projects.ts';
import { addTemplates } from './commands/templates.ts';
import { addCompletion } from './commands/completion.ts';
import { addControl } from './commands/control.ts';
import { addDecide } from './commands/decide.ts';
import { addDemo } from './commands/demo.ts';
import { addDeploy } from './commands/deploy.ts';
import { addDestroy, addPlan } from './commands/destroy-plan.ts';
import { addEnvironments } from './commands/environments.ts';
import { addApprovals, addAudit, addDeployments } from './commands/history.ts';
import { addHelp } from './commands/help.ts';
import { addInit } from './commands/init.ts';
import { addDrift, addSchedules } from './commands/life.ts';
import { addLocks, addTtl } from './commands/ttl-lock.ts';
import { addLogs } from './commands/logs.ts';
import { addGraph } from './commands/look.ts';
import { addServe } from './commands/serve.ts';
import { addState } from './commands/state.ts';
import { addStatus } from './commands/status.ts';
import { addValidate } from './commands/validate.ts';
import { addVariables } from './commands/variables.ts';
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

/** As the help lists them. */
const sections: readonly (readonly [heading: string, commands: readonly ((registry: Registry) => void)[]])[] = [
  ['To begin:', [addDemo, addServe, addInit, addValidate]],
  ['Runs:', [addDeploy, addPlan, addDestroy, addStatus, addLogs, addGraph]],
  ['Decisions and repairs:', [addDecide, addControl]],
  ['An environment that lives:', [addSchedules, addTtl, addDrift, addLocks]],
  [
    'Records:',
    [
      addEnvironments,
      addTemplates,
      addProjects,
      addVariables,
      addDeployments,
      addApprovals,
      addState,
      addKeys,
      addAudit,
    ],
  ],
  ['The installation:', [addBackup, addMove]],
  ['This command:', [addHelp, addAccount, addCompletion]],
];

/** All commands, in the order in which people meet them. */
export function createProgram(options: ProgramOptions): Command {
  const registry = createRegistry({ ...options, version: ownVersion() });
  for (const [heading, commands] of sections) {
    registry.program.commandsGroup(heading);
    for (const add of commands) add(registry);
  }
  registry.program.addHelpText('before', examples);
  return registry.program;
}

/** Runs one command line, without the names of the programs before it. Answers the exit code and never throws. */
export async function runCli(
  words: readonly string[],
  io: Io,
  dependencies: SessionDependencies = realDependencies,
): Promise<number> {
  let code = 0;
  try {
    const program = createProgram({ io, dependencies, onExit: (exit) => (code = exit), quiet: wantsJson(words) });
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
