import type { Command } from 'commander';
import { didYouMean } from '../../definition/index.ts';
import type { Registry } from '../cli.ts';
import { noOptions, pathOf } from '../cli.ts';
import { usageError } from '../exit.ts';

export function addHelp({ add, program }: Registry): void {
  add({
    usage: 'help [command...]',
    summary: 'Show how a command is used; the same as COMMAND --help',
    examples: [
      ['windlass help deploy', ''],
      ['windlass help environment list', ''],
    ],
    options: noOptions,
    async run(call) {
      findCommand(program, call.variadic(0)).outputHelp();
    },
  });
}

/** By names or their aliases. Throws a usage error that says which are near. */
function findCommand(program: Command, words: readonly string[]): Command {
  let at = program;
  for (const word of words) {
    const next = at.commands.find((command) => command.name() === word || command.aliases().includes(word));
    if (next === undefined) {
      const where = pathOf(at);
      const names = at.commands.map((command) => command.name());
      throw usageError(
        `there is no command "${[where, word].filter(Boolean).join(' ')}"${didYouMean(word, names)}`,
        `windlass ${[where, '--help'].filter(Boolean).join(' ')} shows what there is`,
      );
    }
    at = next;
  }
  return at;
}
