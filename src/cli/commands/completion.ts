import { z } from 'zod';
import type { Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { usageError } from '../exit.ts';

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
