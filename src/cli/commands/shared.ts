import { createInterface } from 'node:readline/promises';
import { collect } from '../../client/index.ts';
import type { Client, Listing } from '../../client/index.ts';
import type { Environment, Organization } from '../../model/index.ts';
import type { Invocation } from '../cli.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import type { Io, Printer } from '../io.ts';
import { formatNumber, formatRelative } from '../text/format.ts';
import { renderFields, renderTable } from '../text/table.ts';
import type { Column } from '../text/table.ts';

type Call = Pick<Invocation<unknown>, 'io' | 'printer'>;

/** A value for machines. */
export function printValue({ printer }: Call, value: unknown): void {
  printer.line(printer.serialize(value));
}

/** A list as a table, or whole for machines. */
export function printList<T>(
  call: Call,
  { items, more }: Listing<T>,
  columns: readonly Column<T>[],
  empty: string,
): void {
  const { printer } = call;
  if (printer.format !== 'table') {
    printValue(call, items);
    return;
  }
  if (items.length === 0) {
    printer.remark(empty);
    return;
  }
  printer.lines(renderTable(items, columns, printer.width));
  if (more) printer.remark(`… there are more than these ${formatNumber(items.length)}: --limit shows more`);
}

/** One thing as fields, or whole for machines. */
export function printItem(call: Call, item: unknown, fields: Parameters<typeof renderFields>[0]): void {
  if (call.printer.format === 'table') call.printer.lines(renderFields(fields));
  else printValue(call, item);
}

/** A sentence for people; machines get the thing itself. */
export function printDone(call: Call, sentence: string, item: unknown): void {
  if (call.printer.format === 'table') call.printer.line(sentence);
  else printValue(call, item);
}

/** A secret that the server tells once, with its name for people; a call that was repeated gets none. */
export function printSecretOnce(
  call: Call,
  what: 'key' | 'token',
  item: { readonly name: string; readonly token: string | null },
): void {
  if (call.printer.format === 'table') call.printer.remark(`The ${what} is shown only now:`);
  printDone(call, item.token ?? `${item.name} is there already; its ${what} cannot be shown again`, item);
}

export function ago({ io }: Call, iso: string | null): string {
  return formatRelative(iso, io.now());
}

export function getEnvironment(client: Client, reference: string): Promise<Environment> {
  return client.environments.get({ params: { ref: reference } });
}

/** By name or id; the only one when absent. */
export async function findOrganization(client: Client, reference: string | undefined): Promise<Organization> {
  const { items } = await collect(client.organizations.list, {});
  const [only] = items;
  const found =
    reference === undefined
      ? items.length === 1
        ? only
        : undefined
      : items.find(({ id, name }) => id === reference || name === reference);
  if (found) return found;
  throw usageError(
    reference === undefined ? 'which organization?' : `there is no organization "${reference}"`,
    `there are: ${items.map(({ name }) => name).join(', ')}`,
  );
}

/** An environment that is run as part of its parent's graph. */
export interface NodePlace {
  readonly environment: Environment;
  /** The environment whose runs it takes part in: its parent, or itself. */
  readonly root: Environment;
  /** Its alias there; null when it is on its own. */
  readonly alias: string | null;
}

export async function findPlace(client: Client, reference: string): Promise<NodePlace> {
  const environment = await getEnvironment(client, reference);
  if (environment.parentId === null || environment.alias === null || environment.flags.detached) {
    return { environment, root: environment, alias: null };
  }
  return { environment, root: await getEnvironment(client, environment.parentId), alias: environment.alias };
}

/** Asks for a typed `yes`. Without a terminal only --yes will do. */
export async function confirm(io: Io, printer: Printer, question: string): Promise<void> {
  const answer = await ask(io, printer, `${question} Type yes to go on: `);
  if (answer === null) throw usageError('this needs a confirmation', 'pass --yes to go on without a terminal');
  if (answer.trim().toLowerCase() !== 'yes') throw new CliError('nothing was changed', { exitCode: exitCodes.stopped });
}

export function canAsk(io: Io): boolean {
  return io.stdin.isTTY === true && io.stderr.isTTY;
}

async function ask(io: Io, printer: Printer, question: string): Promise<string | null> {
  if (!canAsk(io)) return null;
  const lines = createInterface({ input: io.stdin, output: process.stderr });
  try {
    return await lines.question(printer.errorStyle.colors.bold(question));
  } finally {
    lines.close();
  }
}

/** Reads the values of secrets, in the order of their names. */
export type SecretReader = (names: readonly string[]) => Promise<string[]>;

/**
 * Secrets come from environment variables of their names, else from what is piped in, else they are typed without being
 * shown. What is piped in belongs whole to a single secret, line ends too, since keys have several lines; for several
 * secrets it is a line for each.
 */
export function createSecretReader(io: Io, { mayBeEmpty = false }: { mayBeEmpty?: boolean } = {}): SecretReader {
  const given = (name: string): string | undefined => io.env[name] || undefined;
  return async (names) => {
    const missing = [...new Set(names.filter((name) => given(name) === undefined))];
    const read = new Map<string, string>();
    if (missing.length > 0 && io.stdin.isTTY) {
      for (const name of missing) read.set(name, await typeHidden(io, name));
    } else if (missing.length > 0) {
      const values = splitSecrets(await readAll(io), missing, mayBeEmpty);
      missing.forEach((name, index) => read.set(name, values[index] ?? ''));
    }
    return names.map((name) => given(name) ?? read.get(name) ?? '');
  };
}

function splitSecrets(text: string, names: readonly string[], mayBeEmpty: boolean): string[] {
  const whole = text.replace(/\r?\n$/, '');
  const values = names.length === 1 ? [whole] : whole.split(/\r?\n/);
  if (names.length > 1 && whole !== '' && values.length !== names.length) {
    throw usageError(
      `${names.length} secrets are read from standard input (${names.join(', ')}), a line for each, but ${values.length === 1 ? 'there is one line' : `there are ${values.length} lines`}`,
      'give those with several lines through environment variables of their names',
    );
  }
  const empty = mayBeEmpty ? undefined : names.find((_name, index) => (values[index] ?? '') === '');
  if (empty !== undefined)
    throw usageError(
      `there is no value for the secret ${empty}`,
      `set the environment variable ${empty}, or pipe the value in`,
    );
  return values;
}

const largestInput = 1_000_000;

export async function readAll(io: Io): Promise<string> {
  let text = '';
  for await (const piece of io.stdin.setEncoding('utf8')) {
    text += String(piece);
    if (text.length > largestInput) throw usageError('the input is larger than 1 MB');
  }
  return text;
}

async function typeHidden(io: Io, name: string): Promise<string> {
  io.stderr.write(`${name}: `);
  const { stdin } = io;
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.resume();
  try {
    return await new Promise((resolve, reject) => {
      let value = '';
      const onData = (piece: string): void => {
        const firstLine = piece.search(/[\r\n]/);
        if (firstLine !== -1 && piece.slice(firstLine).trim() !== '') {
          stdin.off('data', onData);
          reject(
            usageError(
              `more than one line was pasted for ${name}; nothing was kept`,
              'pipe a value of several lines in, from a file: … < FILE',
            ),
          );
          return;
        }
        for (const letter of piece) {
          if (letter === '\u0003' || letter === '\u0004') {
            stdin.off('data', onData);
            reject(new CliError('nothing was changed', { exitCode: exitCodes.stopped }));
            return;
          }
          if (letter === '\r' || letter === '\n') {
            stdin.off('data', onData);
            resolve(value);
            return;
          }
          value = letter === '\u007f' ? value.slice(0, -1) : value + letter;
        }
      };
      stdin.on('data', onData);
    });
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    io.stderr.write('\n');
  }
}
