import { createInterface } from 'node:readline/promises';
import { stringify } from 'yaml';
import { environmentSchema } from '../../model/index.ts';
import type { Environment } from '../../model/index.ts';
import type { ApiClient, Listing, Query } from '../client/api-client.ts';
import { ref } from '../client/api-client.ts';
import type { Invocation } from '../cli.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import type { Io, Printer } from '../io.ts';
import { formatNumber, formatRelative } from '../text/format.ts';
import { renderFields, renderTable } from '../text/table.ts';
import type { Column } from '../text/table.ts';

type Call = Pick<Invocation<unknown>, 'io' | 'printer'>;

/** A value for machines. */
export function printValue({ printer }: Call, value: unknown): void {
  if (printer.format === 'yaml') printer.line(stringify(value, { lineWidth: 0 }).trimEnd());
  else printer.line(JSON.stringify(value, null, 2));
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

export function ago({ io }: Call, iso: string | null): string {
  return formatRelative(iso, io.now());
}

export function pathWith(path: string, query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

export function getEnvironment(client: ApiClient, reference: string): Promise<Environment> {
  return client.get(`environments/${ref(reference)}`, environmentSchema);
}

/** An environment that is run as part of its parent's graph. */
export interface NodePlace {
  readonly environment: Environment;
  /** The environment whose runs it takes part in: its parent, or itself. */
  readonly root: Environment;
  /** Its alias there; null when it is on its own. */
  readonly alias: string | null;
}

export async function findPlace(client: ApiClient, reference: string): Promise<NodePlace> {
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

/** A secret, typed without being shown; or the next line of what is piped in. */
export function createSecretReader(io: Io): (name: string) => Promise<string> {
  let piped: string[] | undefined;
  return async (name) => {
    const fromEnvironment = io.env[name];
    if (fromEnvironment !== undefined && fromEnvironment !== '') return fromEnvironment;
    if (io.stdin.isTTY) return typeHidden(io, name);
    piped ??= (await readAll(io)).split(/\r?\n/);
    const line = piped.shift();
    if (line === undefined || line === '') {
      throw usageError(
        `there is no value for the secret ${name}`,
        `set the environment variable ${name}, or pipe the value in`,
      );
    }
    return line;
  };
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
