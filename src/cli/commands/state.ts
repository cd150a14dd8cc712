import { writeFileSync } from 'node:fs';
import { z } from 'zod';
import { collect } from '../../client/index.ts';
import type { Invocation, Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { usageError } from '../exit.ts';
import { formatBytes } from '../text/format.ts';
import { limitFlag, limitOption, yesFlag } from './options.ts';
import { ago, canAsk, confirm, printDone, printItem, printList, printValue } from './shared.ts';

const reasonOptions = z.object({ reason: z.string().optional(), yes: z.boolean().default(false) });
const reasonFlags = [{ flags: '--reason <text>', description: 'kept in the audit log' }, yesFlag];

export function addState({ add, group }: Registry): void {
  const state = group('state', 'State: versions that Windlass keeps for stacks without a backend of their own');
  add(
    {
      usage: 'show <environment>',
      summary: 'Show the current state of a stack: version, lock',
      examples: [['windlass state show shop/vpc', '']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const item = await client.state.get({ params: { ref: call.argument(0) } });
        if (item === null) return printDone(call, 'There is no state.', null);
        return printItem(
          call,
          item,
          Object.entries(item).map(([name, value]) => [name, showField(value)]),
        );
      },
    },
    state,
  );
  add(
    {
      usage: 'versions <environment>',
      aliases: ['list', 'ls'],
      summary: 'List the kept versions, newest first',
      examples: [['windlass state versions shop/vpc', '']],
      flags: [limitFlag],
      options: z.object(limitOption),
      async run(call) {
        const { client } = await call.connect();
        printList(
          call,
          await collect(client.state.versions, { params: { ref: call.argument(0) } }, call.options),
          [
            { title: 'version', value: (item) => item.id, align: 'right', keep: true },
            { title: 'serial', value: (item) => item.serial, align: 'right' },
            { title: 'resources', value: (item) => item.resources, align: 'right' },
            { title: 'size', value: (item) => formatBytes(item.size), align: 'right' },
            { title: 'when', value: (item) => ago(call, item.createdAt) },
            { title: 'by', value: (item) => item.createdBy },
            { title: 'deployment', value: (item) => item.deploymentId, keep: true },
          ],
          'No versions: the stack has its own backend, or was never deployed.',
        );
      },
    },
    state,
  );
  add(
    {
      usage: 'download <environment> <version>',
      summary: 'Write a version to a file or standard output; it holds secrets',
      examples: [
        ['windlass state download shop/vpc 12 --file vpc.tfstate', 'readable by you alone'],
        ['windlass state download shop/vpc 12 | jq .serial', ''],
      ],
      flags: [{ flags: '--file <file>', description: 'a new file instead of standard output' }],
      options: z.object({ file: z.string().optional() }),
      async run(call) {
        const { client } = await call.connect();
        const response = await client.state.download.response({
          params: { ref: call.argument(0), id: call.argument(1) },
        });
        const bytes = Buffer.from(await response.arrayBuffer());
        const { file } = call.options;
        if (file === undefined) return call.io.stdout.write(bytes.toString('utf8'));
        writeFileSync(file, bytes, { mode: 0o600, flag: 'wx' });
        return call.printer.remark(`Wrote ${file}, readable by you alone.`);
      },
    },
    state,
  );
  add(
    {
      usage: 'diff <environment> <from> <to>',
      summary: 'Compare two versions',
      examples: [['windlass state diff shop/vpc 11 12', '']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const answer = await client.state.diff({
          params: { ref: call.argument(0) },
          query: {
            from: call.argument(1),
            to: call.argument(2),
          },
        });
        if (call.printer.format !== 'table') return printValue(call, answer);
        if (answer.resources.length === 0) return call.printer.remark('No resource differs.');
        return printList(
          call,
          { items: answer.resources, more: false },
          [
            { title: 'change', value: (item) => item.action },
            { title: 'resource', value: (item) => item.address, keep: true },
          ],
          '',
        );
      },
    },
    state,
  );
  add(
    {
      usage: 'restore <environment> <version>',
      summary: 'Make an earlier version the current one, as a new version',
      examples: [['windlass state restore shop/vpc 11 --yes', '']],
      flags: reasonFlags,
      options: reasonOptions,
      async run(call) {
        const [environment, version] = [call.argument(0), call.argument(1)];
        await requireConfirmation(
          call,
          `This makes version ${version} the state of ${environment}. Resources made since are no longer known to the tool.`,
        );
        const { client } = await call.connect();
        const { reason } = call.options;
        const answer = await client.state.restore({
          params: { ref: environment, id: version },
          body: reason === undefined ? {} : { reason },
        });
        printDone(call, `Restored version ${version}.`, answer);
      },
    },
    state,
  );
  add(
    {
      usage: 'unlock <environment>',
      summary: 'Free a lock of the state that nobody holds any more',
      examples: [['windlass state unlock shop/vpc --reason "the worker is gone"', '']],
      flags: reasonFlags,
      options: reasonOptions,
      async run(call) {
        const environment = call.argument(0);
        const reason = required(call);
        await requireConfirmation(
          call,
          `This frees the state lock of ${environment}. If a tool still runs there, both will write.`,
        );
        const { client } = await call.connect();
        printDone(
          call,
          `Freed the lock of ${environment}.`,
          await client.state.unlock({ params: { ref: environment }, body: { reason } }),
        );
      },
    },
    state,
  );
  add(
    {
      usage: 'verify <environment>',
      summary: 'Say that a state which could not be verified is right',
      examples: [['windlass state verify shop/vpc --reason "checked in the console"', '']],
      flags: reasonFlags,
      options: reasonOptions,
      async run(call) {
        const environment = call.argument(0);
        const reason = required(call);
        const { client } = await call.connect();
        printDone(
          call,
          `The state of ${environment} counts as verified.`,
          await client.state.verify({ params: { ref: environment }, body: { reason } }),
        );
      },
    },
    state,
  );
}

type ReasonCall = Invocation<z.output<typeof reasonOptions>>;

function required(call: ReasonCall): string {
  if (call.options.reason) return call.options.reason;
  throw usageError('--reason is missing', 'it is kept in the audit log');
}

async function requireConfirmation(call: ReasonCall, warning: string): Promise<void> {
  if (call.options.yes) return;
  if (!canAsk(call.io)) throw usageError(warning, 'pass --yes to go on without a terminal');
  await confirm(call.io, call.printer, warning);
}

function showField(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
