import type { Command } from 'commander';
import type { CommandShape } from './complete.ts';

/** The commands as plain data. */
export function shapeOf(command: Command): CommandShape {
  return {
    name: command.name(),
    aliases: command.aliases(),
    commands: command.commands.map(shapeOf),
    options: command.options.map((option) => ({
      long: option.long ?? null,
      short: option.short ?? null,
      value: option.required ? (/<([^>]+)>/.exec(option.flags)?.[1] ?? 'value') : null,
      choices: option.argChoices ?? [],
    })),
    operands: command.registeredArguments.map((argument) => argument.name()),
  };
}
