import type { Command } from 'commander';
import { z } from 'zod';
import { environmentSchema, graphSchema } from '../../model/index.ts';
import { ref } from '../client/api-client.ts';
import type { Registry } from '../cli.ts';
import { noOptions, pathOf } from '../cli.ts';
import { usageError } from '../exit.ts';
import type { Io } from '../io.ts';
import type { Session } from '../session.ts';

const shells = ['bash', 'zsh', 'fish'] as const;

/** The shells ask this command itself, so that what they offer is never older than the program. */
const scripts: Record<(typeof shells)[number], string> = {
  bash: `_windlass() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(windlass __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _windlass windlass
`,
  zsh: `#compdef windlass
_windlass() {
  local -a found
  found=("\${(@f)$(windlass __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then compadd -a found; else _files; fi
}
compdef _windlass windlass
`,
  fish: `function __windlass_complete
  set -l words (commandline -opc) (commandline -ct)
  windlass __complete $words[2..-1] 2>/dev/null
end
complete -c windlass -a '(__windlass_complete)'
`,
};

export function addCompletion({ add }: Registry): void {
  add({
    usage: 'completion <shell>',
    summary: 'Print the completion script of a shell: bash, zsh or fish',
    examples: [
      ['source <(windlass completion bash)', 'in ~/.bashrc'],
      ['source <(windlass completion zsh)', 'in ~/.zshrc, after compinit'],
      ['windlass completion fish | source', 'in config.fish'],
    ],
    options: noOptions,
    async run(call) {
      const parsed = z.enum(shells).safeParse(call.argument(0));
      if (!parsed.success)
        throw usageError(`no completion for "${call.argument(0)}"`, `there is one for ${shells.join(', ')}`);
      call.io.stdout.write(scripts[parsed.data]);
    },
  });
}

/** Word by which the scripts ask. Not a command: words of a half-typed line would be taken for options. */
export const completionWord = '__complete';

/** Prints what may stand where the last of these words is being typed. Must be quick and never fail. */
export async function answerCompletion(
  program: Command,
  words: readonly string[],
  options: AnswerOptions,
): Promise<void> {
  const { candidates, wants } = complete(program, words);
  const names =
    wants === 'environment'
      ? await environmentNames(await options.connect().catch(() => null), words.at(-1) ?? '')
      : [];
  for (const line of [...candidates, ...names]) options.io.stdout.write(`${line}\n`);
}

interface AnswerOptions {
  readonly io: Io;
  /** A server that is running already. */
  readonly connect: () => Promise<Session>;
}

export interface Completion {
  readonly candidates: readonly string[];
  /** Names that only a server knows. */
  readonly wants: 'environment' | null;
}

/** What may stand where the last of these words is being typed. */
export function complete(program: Command, words: readonly string[]): Completion {
  const typed = words.at(-1) ?? '';
  let command = program;
  let operands = 0;
  const before = words.slice(0, -1);
  for (const [index, word] of before.entries()) {
    if (word.startsWith('-')) continue;
    if (takesValue(command, before[index - 1])) continue;
    const next = command.commands.find((candidate) => candidate.name() === word || candidate.aliases().includes(word));
    if (next && operands === 0) command = next;
    else operands++;
  }
  const previous = words.at(-2) ?? '';
  const option = optionsOf(command).find((candidate) => candidate.short === previous || candidate.long === previous);
  if (option?.required)
    return { candidates: (option.argChoices ?? []).filter((choice) => choice.startsWith(typed)), wants: null };
  if (typed.startsWith('-')) {
    const flags = optionsOf(command).flatMap((candidate) => candidate.long ?? []);
    return { candidates: flags.filter((flag) => flag.startsWith(typed)).sort(), wants: null };
  }
  const names = operands > 0 ? [] : command.commands.map((candidate) => candidate.name());
  const argument = command.registeredArguments[operands];
  const wants =
    argument && /^(environment|node)$/.test(argument.name()) && pathOf(command) !== '' ? 'environment' : null;
  return { candidates: names.filter((name) => name.startsWith(typed)), wants };
}

function optionsOf(command: Command): Command['options'] {
  return command.parent ? [...command.options, ...optionsOf(command.parent)] : command.options;
}

function takesValue(command: Command, previous: string | undefined): boolean {
  return (
    previous !== undefined &&
    optionsOf(command).some(
      (option) => (option.short === previous || option.long === previous) && Boolean(option.required),
    )
  );
}

/** Names of environments, and of the nodes of one after its slash. */
async function environmentNames(session: Session | null, typed: string): Promise<string[]> {
  if (!session) return [];
  try {
    const slash = typed.indexOf('/');
    if (slash > 0) {
      const name = typed.slice(0, slash);
      const { nodes } = await session.client.get(`environments/${ref(name)}/graph`, graphSchema);
      return nodes.map(({ alias }) => `${name}/${alias}`).filter((path) => path.startsWith(typed) && !/\s/.test(path));
    }
    const { items } = await session.client.list('environments', environmentSchema, { limit: 200 });
    return items
      .filter(({ parentId }) => parentId === null)
      .map(({ name }) => name)
      .filter((name) => name.startsWith(typed) && !/\s/.test(name));
  } catch {
    return [];
  }
}
