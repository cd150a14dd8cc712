/** What completion needs to know of the commands: plain data, which is written down when Windlass is built. */
export interface CommandShape {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly commands: readonly CommandShape[];
  readonly options: readonly OptionShape[];
  /** Names of its arguments. */
  readonly operands: readonly string[];
}

export interface OptionShape {
  readonly long: string | null;
  readonly short: string | null;
  /** Name of the value it takes; null of a switch. */
  readonly value: string | null;
  readonly choices: readonly string[];
}

/** Things whose names only a server knows. */
const namedKinds = ['environment', 'deployment', 'template', 'project', 'organization', 'approval', 'key'] as const;
export type NamedKind = (typeof namedKinds)[number];

export interface Completion {
  readonly candidates: readonly string[];
  readonly wants: NamedKind | null;
}

/** What may stand where the last of these words is being typed. */
export function complete(program: CommandShape, words: readonly string[]): Completion {
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const { path, operands } = walk(program, before);
  const command = path.at(-1) ?? program;
  const options = path.toReversed().flatMap((at) => at.options);
  const fitting = (names: readonly string[]): string[] => names.filter((name) => name.startsWith(typed));

  const option = valueOption(options, before.at(-1));
  if (option) return { candidates: fitting(option.choices), wants: kindOf(option.value) };
  if (typed.startsWith('-')) {
    return { candidates: fitting(options.flatMap(({ long }) => long ?? [])).sort(), wants: null };
  }
  // After `help` come the commands of which it is asked.
  if (path.length > 1 && path[1]?.name === 'help') {
    const asked = walk(program, before.slice(before.indexOf('help') + 1)).path.at(-1) ?? program;
    return { candidates: fitting(asked.commands.map(({ name }) => name)), wants: null };
  }
  const names = operands > 0 ? [] : command.commands.map(({ name }) => name);
  return { candidates: fitting(names), wants: path.length > 1 ? kindOf(command.operands[operands] ?? null) : null };
}

/** The commands that the words lead through, and how many arguments the last of them has got. */
function walk(program: CommandShape, words: readonly string[]): { path: CommandShape[]; operands: number } {
  const path = [program];
  let operands = 0;
  words.forEach((word, index) => {
    const options = path.flatMap((at) => at.options);
    if (word.startsWith('-') || valueOption(options, words[index - 1])) return;
    const next = path.at(-1)?.commands.find(({ name, aliases }) => name === word || aliases.includes(word));
    if (next && operands === 0) path.push(next);
    else operands++;
  });
  return { path, operands };
}

function valueOption(options: readonly OptionShape[], word: string | undefined): OptionShape | undefined {
  return options.find(
    ({ long, short, value }) => value !== null && word !== undefined && (long === word || short === word),
  );
}

/** Arguments and values are called after what they name. */
function kindOf(name: string | null): NamedKind | null {
  if (name === 'node') return 'environment';
  return namedKinds.find((kind) => kind === name) ?? null;
}
