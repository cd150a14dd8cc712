import { Command, Option } from 'commander';
import type { z } from 'zod';
import { z as zod } from 'zod';
import { CliError, usageError } from './exit.ts';
import { createPrinter, outputFormats } from './io.ts';
import type { Io, Printer } from './io.ts';
import type { Session, SessionDependencies } from './session.ts';
import { openLocal, openSession } from './session.ts';

export const globalOptionsSchema = zod.object({
  url: zod.string().optional(),
  token: zod.string().optional(),
  output: zod.enum(outputFormats).default('table'),
  json: zod.boolean().default(false),
  color: zod.boolean().default(true),
});
export type GlobalOptions = z.infer<typeof globalOptionsSchema>;

/** What a command gets when it is called. */
export interface Invocation<O> {
  readonly io: Io;
  readonly options: O;
  readonly printer: Printer;
  readonly dependencies: SessionDependencies;
  /** A required argument. */
  argument(index: number): string;
  optional(index: number): string | undefined;
  variadic(index: number): readonly string[];
  /** The server; closed by itself when the command is over. */
  connect(): Promise<Session>;
  /** Address that was asked for by name, in the arguments or the environment. */
  readonly url: string | undefined;
  /** The embedded server that runs on a data directory; null when there is none. */
  connectLocal(dataDirectory: string): Promise<Session | null>;
  /** The same, but null when none is running. */
  connectIfRunning(): Promise<Session | null>;
}

export interface Flag {
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
  /** May be given several times. */
  readonly repeat?: boolean;
  readonly fallback?: unknown;
}

export interface CommandSpec<S extends z.ZodType> {
  /** Name and arguments, such as `deploy <environment>`. */
  readonly usage: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly examples: readonly (readonly [command: string, what: string])[];
  readonly flags?: readonly Flag[];
  readonly options: S;
  /** Answers the exit code; 0 when nothing. */
  readonly run: (call: Invocation<z.output<S>>) => Promise<number | void>;
}

export interface Registry {
  /** Adds a command under a parent, the program when absent. */
  add<S extends z.ZodType>(spec: CommandSpec<S>, parent?: Command): Command;
  /** Adds a noun with commands under it. */
  group(name: string, summary: string, aliases?: readonly string[]): Command;
  readonly program: Command;
}

export const noOptions = zod.object({});

/** Verbs that only look. They start no server: what they would show is then not there to be seen. */
const lookUps: ReadonlySet<string> = new Set([
  'children',
  'diff',
  'download',
  'events',
  'graph',
  'list',
  'logs',
  'nodes',
  'outputs',
  'show',
  'status',
  'variables',
  'versions',
  'watch',
]);

/** Whether results and errors are for machines. Asked before, and apart from, the parsing that may be what fails. */
export function wantsJson(words: readonly string[]): boolean {
  return words.some(
    (word, index) =>
      /^(--json|--output=json|-o=?json)$/.test(word) ||
      (word === 'json' && /^(-o|--output)$/.test(words[index - 1] ?? '')),
  );
}

interface ProgramOptions {
  readonly io: Io;
  readonly dependencies: SessionDependencies;
  readonly version: string;
  /** Takes the exit code of the command that ran. */
  readonly onExit: (code: number) => void;
  /** What commander would say of wrong usage is said as JSON by whoever catches its error. */
  readonly quiet?: boolean;
}

export function createRegistry({ io, dependencies, version, onExit, quiet = false }: ProgramOptions): Registry {
  const program = new Command('windlass');
  program
    .description('Deploys a whole environment of infrastructure stacks as one durable run.')
    .version(version, '-V, --version', 'print the version of this command')
    .addOption(new Option('--url <address>', 'address of the server').env('WINDLASS_URL'))
    .addOption(new Option('--token <key>', 'API key; better in WINDLASS_TOKEN, where no process list shows it'))
    .addOption(new Option('-o, --output <format>', 'how results are printed').choices([...outputFormats]))
    .option('--json', 'same as -o json; runs are printed as one event per line')
    .option('--no-color', 'no colours, also on a terminal');
  prepare(program, io);

  function prepare(command: Command, target: Io): void {
    command
      .exitOverride()
      .helpOption('-h, --help', 'examples, arguments and options')
      .helpCommand(false)
      .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
      .configureOutput({
        writeOut: (text) => target.stdout.write(text),
        writeErr: (text) => (quiet ? undefined : target.stderr.write(text)),
        getOutHelpWidth: () => Math.min(120, target.stdout.columns),
        getErrHelpWidth: () => Math.min(120, target.stderr.columns),
      })
      .showHelpAfterError('(windlass --help shows what there is)')
      .showSuggestionAfterError(true);
  }

  return {
    program,
    group(name, summary, aliases = []) {
      const group = program
        .command(name)
        .description(summary)
        .aliases([...aliases]);
      prepare(group, io);
      group.showHelpAfterError(`(windlass ${name} --help shows what there is)`);
      return group;
    },
    add(spec, parent = program) {
      const command = parent
        .command(spec.usage)
        .summary(spec.summary)
        .description(spec.description ?? `${spec.summary}.`);
      command.aliases([...(spec.aliases ?? [])]);
      prepare(command, io);
      command.showHelpAfterError(`(windlass ${pathOf(command)} --help shows examples)`);
      command.addHelpText('before', `Examples:\n${renderExamples(spec.examples)}\n`);
      for (const flag of spec.flags ?? []) command.addOption(toOption(flag));
      command.action(async (...parameters: unknown[]) => {
        const given = parameters.slice(0, -2);
        const all: unknown = command.optsWithGlobals();
        const global = globalOptionsSchema.parse(all);
        const options = parseOptions(spec.options, all);
        const printer = await createPrinter(io, {
          format: global.json ? 'json' : global.output,
          noColor: !global.color,
        });
        const sessions: Session[] = [];
        const mayStart = !lookUps.has(command.name());
        const open = async (how: { readonly mayStart: boolean; readonly mayWait: boolean }): Promise<Session> => {
          const known = sessions[0];
          if (known) return known;
          const session = await openSession({
            io,
            printer,
            dependencies,
            ...how,
            choice: { url: global.url, token: global.token },
          });
          sessions.push(session);
          return session;
        };
        try {
          const code = await spec.run({
            io,
            options,
            printer,
            dependencies,
            argument(index) {
              const value = given[index];
              if (typeof value !== 'string') throw usageError(`argument ${index + 1} of ${pathOf(command)} is missing`);
              return value;
            },
            optional: (index) => (typeof given[index] === 'string' ? given[index] : undefined),
            variadic: (index) => zod.array(zod.string()).parse(given[index] ?? []),
            url: global.url ?? io.env['WINDLASS_URL'],
            connect: () => open({ mayStart, mayWait: true }),
            connectLocal: (dataDirectory) =>
              openLocal({ io, printer, dependencies, choice: { url: global.url, token: global.token } }, dataDirectory),
            async connectIfRunning() {
              try {
                return await open({ mayStart: false, mayWait: false });
              } catch (error) {
                if (error instanceof CliError && error.code === 'unreachable') return null;
                throw error;
              }
            },
          });
          onExit(code ?? 0);
        } finally {
          for (const session of sessions) await session.close();
        }
      });
      return command;
    },
  };
}

/** Name of a command with those above it, without the program's. */
export function pathOf(command: Command): string {
  const names: string[] = [];
  for (let at: Command | null = command; at?.parent; at = at.parent) names.unshift(at.name());
  return names.join(' ');
}

function renderExamples(examples: CommandSpec<z.ZodType>['examples']): string {
  const size = Math.max(...examples.map(([command]) => command.length));
  return examples.map(([command, what]) => `  ${command.padEnd(size)}   ${what}`.trimEnd()).join('\n');
}

function toOption(flag: Flag): Option {
  const option = new Option(flag.flags, flag.description);
  if (flag.choices) option.choices([...flag.choices]);
  if (flag.repeat)
    option.argParser((value: string, before: unknown) => [...(Array.isArray(before) ? before.map(String) : []), value]);
  if (flag.fallback !== undefined) option.default(flag.fallback);
  return option;
}

function parseOptions<S extends z.ZodType>(schema: S, values: unknown): z.output<S> {
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const name = String(issue?.path[0] ?? '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw usageError(`--${name}: ${issue?.message ?? 'is not valid'}`);
}
