import { z } from 'zod';
import { collect } from '../../client/index.ts';
import type { AnswerOf, Client } from '../../client/index.ts';
import {
  driftStatuses,
  environmentSettingsSchema,
  environmentStatuses,
  environmentStatusWord,
} from '../../model/index.ts';
import type { Environment } from '../../model/index.ts';
import type { Invocation, Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { usageError } from '../exit.ts';
import { sentenceOf } from '../text/event.ts';
import { formatRelative, shellQuote } from '../text/format.ts';
import { renderTable } from '../text/table.ts';
import type { Column } from '../text/table.ts';
import { stateFields } from '../status-text.ts';
import { allSettings, findInherited, settingsFields } from './settings.ts';
import { addEnvironmentVerbs } from './ttl-lock.ts';
import { getEnvironment, printDone, printItem, printList } from './shared.ts';
import {
  confirmDelete,
  dropNone,
  limitFlag,
  limitOption,
  readSettings,
  settingsFlags,
  settingsOptions,
  yesFlag,
  yesOption,
} from './options.ts';

function columns(nowMs: number): Column<Environment>[] {
  return [
    { title: 'name', value: (item) => item.name, keep: true },
    { title: 'status', value: (item) => [environmentStatusWord(item.status), ...marks(item)].join(', ') },
    { title: 'template', value: (item) => item.templateName ?? item.type },
    { title: 'expires', value: (item) => (item.expiresAt ? formatRelative(item.expiresAt, nowMs) : null) },
    { title: 'changed', value: (item) => formatRelative(item.updatedAt, nowMs) },
    { title: 'id', value: (item) => item.id, keep: true },
  ];
}

function marks({ flags }: Environment): string[] {
  return [
    flags.waitingForApproval > 0 ? 'waits for approval' : '',
    flags.drift === 'drifted' ? 'drifted' : '',
    flags.lock ? 'locked' : '',
    flags.stateUnverified ? 'state unverified' : '',
    flags.detached ? 'detached' : '',
    flags.archived ? 'archived' : '',
  ].filter(Boolean);
}

export function addEnvironments({ add, group }: Registry): void {
  const environment = group('environment', 'Environments: what lives', ['env', 'environments']);
  add(
    {
      usage: 'list',
      aliases: ['ls'],
      summary: 'List environments',
      examples: [
        ['windlass environment list', 'all of them'],
        ['windlass env list --status failed', 'those that need a look'],
        ['windlass env list --drift drifted -o json', 'for scripts'],
      ],
      flags: [
        { flags: '--project <project>', description: 'of this project' },
        { flags: '--status <status>', description: 'in this status', choices: environmentStatuses },
        { flags: '--name <name>', description: 'with this name' },
        { flags: '--drift <status>', description: 'with this result of the last drift check' },
        limitFlag,
      ],
      options: z.object({
        ...limitOption,
        project: z.string().optional(),
        status: z.enum(environmentStatuses).optional(),
        name: z.string().optional(),
        drift: z.enum(driftStatuses).optional(),
      }),
      async run(call) {
        const { limit, ...rest } = call.options;
        const { client } = await call.connect();
        const listing = await collect(client.environments.list, { query: rest }, { limit });
        printList(
          call,
          listing,
          columns(call.io.now()),
          'No environments. Make one from a directory:  windlass deploy ./DIRECTORY   or a starter:  windlass init',
        );
      },
    },
    environment,
  );
  add(
    {
      usage: 'show <environment>',
      summary: 'Show one environment and its settings',
      examples: [
        ['windlass environment show shop', ''],
        ['windlass environment show shop/eks', 'one node'],
      ],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const item = await getEnvironment(client, call.argument(0));
        const nowMs = call.io.now();
        if (call.printer.format !== 'table') return printItem(call, { ...item, settings: allSettings(item) }, []);
        const inherited = await findInherited(client, item);
        const fields = stateFields(item, nowMs).filter(([name]) => name !== 'deploys at' && name !== 'destroys at');
        return printItem(call, item, [
          ['name', item.name],
          ['status', [environmentStatusWord(item.status), ...marks(item)].join(', ')],
          ['template', item.templateName ?? `${item.type}, in the workflow file`],
          ['revision', item.revision],
          ['workspace', item.workspace],
          ...fields,
          ['running', item.currentDeploymentId],
          ...settingsFields(item, inherited, nowMs),
          ['id', item.id],
        ]);
      },
    },
    environment,
  );
  add(
    {
      usage: 'create <name>',
      summary: 'Create an environment from a template',
      examples: [
        ['windlass environment create shop --template "Online shop"', 'then: windlass deploy shop'],
        ['windlass environment create pr-12 --template shop --revision pr-12 --ttl-hours 8', 'destroys itself'],
      ],
      flags: [
        { flags: '--template <template>', description: 'name or id of the template' },
        { flags: '--project <project>', description: 'the project to make it in' },
        { flags: '--revision <revision>', description: "instead of the template's" },
        { flags: '--workspace <name>', description: 'workspace of the tool' },
        ...settingsFlags,
      ],
      options: z.object({
        ...settingsOptions,
        template: z.string().optional(),
        project: z.string().optional(),
        revision: z.string().optional(),
        workspace: z.string().optional(),
      }),
      async run(call) {
        const { template, project, revision, workspace } = call.options;
        const name = call.argument(0);
        if (!template) throw usageError('--template is missing', 'those there are: windlass template list');
        const settings = environmentSettingsSchema.parse(dropNone(readSettings(call.options)));
        const { client } = await call.connect();
        const item = await client.environments.create({
          query: { project },
          body: {
            name,
            template,
            settings,
            ...(revision ? { revision } : {}),
            ...(workspace ? { workspace } : {}),
          },
        });
        printDone(call, `Created ${item.name} (${item.id}). Next:  windlass deploy ${shellQuote(item.name)}`, item);
      },
    },
    environment,
  );
  add(
    {
      usage: 'update <environment>',
      summary: 'Change the saved settings of an environment',
      examples: [
        ['windlass environment update shop --require-approval true', 'ask before every apply of every node'],
        ['windlass environment update shop/eks --require-approval true', 'of one node; none takes it away'],
        ['windlass environment update shop --approval-expiry 3d', 'a decision that nobody makes cancels the run'],
        ['windlass environment update shop --name online-shop', 'give it another name'],
        ['windlass environment update shop --revision v2', 'deploy another revision from now on'],
      ],
      flags: [
        { flags: '--name <name>', description: 'new name' },
        { flags: '--revision <revision>', description: "instead of the template's" },
        ...settingsFlags,
      ],
      options: z.object({ ...settingsOptions, name: z.string().optional(), revision: z.string().optional() }),
      async run(call) {
        const { client } = await call.connect();
        const known = await getEnvironment(client, call.argument(0));
        const changed = readSettings(call.options);
        const body = {
          ...(call.options.name ? { name: call.options.name } : {}),
          ...(call.options.revision ? { revision: call.options.revision } : {}),
          ...(Object.keys(changed).length > 0 ? { settings: changed } : {}),
        };
        if (Object.keys(body).length === 0)
          throw usageError('nothing to change was given', 'windlass environment update --help shows what can be');
        const item = await client.environments.update({ params: { ref: known.id }, body });
        printDone(call, `Updated ${item.name}.`, item);
      },
    },
    environment,
  );
  add(
    {
      usage: 'delete <environment>',
      aliases: ['rm'],
      summary: 'Archive an environment that has nothing deployed',
      examples: [
        ['windlass environment delete shop', 'after: windlass destroy shop'],
        [
          'windlass environment delete shop --force',
          'abort a run in progress, forget resources that may still be there',
        ],
      ],
      flags: [
        yesFlag,
        { flags: '--force', description: 'abort a run in progress, and forget resources that may still be there' },
      ],
      options: yesOption.extend({ force: z.boolean().default(false) }),
      async run(call) {
        const { client } = await call.connect();
        const item = await getEnvironment(client, call.argument(0));
        await confirmDelete(call, `environment "${item.name}" (its history is kept in the archive)`);
        await client.environments.archive({
          params: { ref: item.id },
          query: call.options.force ? { force: true } : {},
        });
        printDone(call, `Archived ${item.name}.`, { deleted: item.id });
      },
    },
    environment,
  );
  addEnvironmentVerbs(add, environment);
  addParts({ add, group: environment });
}

function addParts({
  add,
  group,
}: {
  readonly add: Registry['add'];
  readonly group: ReturnType<Registry['group']>;
}): void {
  add(
    {
      usage: 'children <environment>',
      aliases: ['nodes'],
      summary: 'List the sub-environments',
      examples: [['windlass environment children shop', '']],
      flags: [limitFlag],
      options: z.object(limitOption),
      async run(call) {
        const { client } = await call.connect();
        const listing = await collect(
          client.environments.children,
          { params: { ref: call.argument(0) } },
          call.options,
        );
        printList(call, listing, columns(call.io.now()), 'No sub-environments.');
      },
    },
    group,
  );
  add(
    {
      usage: 'outputs <environment>',
      summary: 'Print the outputs; sensitive ones without their value',
      examples: [
        ['windlass environment outputs shop', 'of all its nodes'],
        ['windlass environment outputs shop/vpc', 'of one'],
        ['windlass environment outputs shop/vpc --json', 'for scripts'],
      ],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const listing = await collect(client.environments.outputs, { params: { ref: call.argument(0) } });
        printList(
          call,
          listing,
          [
            ...nodeColumn(listing.items),
            { title: 'name', value: (item) => item.name, keep: true },
            { title: 'type', value: (item) => item.type },
            { title: 'value', value: (item) => (item.sensitive ? '(sensitive)' : showValue(item.value)) },
          ],
          'No outputs.',
        );
      },
    },
    group,
  );
  add(
    {
      usage: 'variables <environment>',
      summary: 'Print the variables in force, and where each comes from',
      examples: [
        ['windlass environment variables shop', 'its own, and what each node has beside them'],
        ['windlass environment variables shop/eks', 'all that one node gets'],
      ],
      options: noOptions,
      run: (call) => printEffective(call, call.argument(0)),
    },
    group,
  );
  add(
    {
      usage: 'events <environment>',
      summary: 'Print the latest of what happened to an environment, oldest first',
      examples: [
        ['windlass environment events shop --limit 20', ''],
        ['windlass environment events shop --json', 'as they are stored'],
      ],
      flags: [limitFlag],
      options: z.object(limitOption),
      async run(call) {
        const { client } = await call.connect();
        const params = { ref: call.argument(0) };
        const all = await collect(client.environments.events, { params }, { pageSize: 1000 });
        const listing = { items: all.items.slice(-call.options.limit), more: all.items.length > call.options.limit };
        if (call.printer.format !== 'table' || listing.items.length === 0) {
          printList(call, listing, [], 'No events.');
          return;
        }
        call.printer.lines(
          renderTable(
            listing.items,
            [
              { title: 'at', value: (item) => item.at.slice(0, 19).replace('T', ' '), keep: true },
              { title: 'node', value: (item) => item.alias },
              { title: 'what', value: (item) => sentenceOf(item, call.io.now()) },
            ],
            call.printer.width,
          ),
        );
      },
    },
    group,
  );
}

/** Which node it is of; a list about one thing needs no such column. */
function nodeColumn<T extends { readonly alias: string | null }>(items: readonly T[]): Column<T>[] {
  return items.some(({ alias }) => alias !== null) ? [{ title: 'node', value: (item) => item.alias, keep: true }] : [];
}

type ShownVariable = AnswerOf<Client['environments']['variables']>['items'][number];

/** Where a value comes from: its level, or the text that an input reads. */
function originOf({ level, template, readOnly }: ShownVariable): string {
  const files: Readonly<Record<string, string>> = { file: 'workflow file', workflow: 'file around its workflow' };
  const from = level === 'input' ? (template ?? level) : (files[level] ?? level);
  return readOnly ? `${from}, read-only` : from;
}

/** Variables in force, with the level that each value comes from. */
export async function printEffective(call: Invocation<unknown>, reference: string): Promise<void> {
  const { client } = await call.connect();
  const listing = await collect(client.environments.variables, { params: { ref: reference } });
  const value = (item: ShownVariable): string => {
    if (item.sensitive) return '(sensitive)';
    return item.level === 'input' && item.value === null ? '(not known yet)' : showValue(item.value);
  };
  const some = (has: (item: ShownVariable) => boolean): boolean => listing.items.some(has);
  printList(
    call,
    listing,
    [
      ...nodeColumn(listing.items),
      { title: 'name', value: (item) => item.name, keep: true },
      ...(some(({ kind }) => kind === 'environment') ? [{ title: 'kind', value: kindOf }] : []),
      { title: 'value', value },
      { title: 'from', value: originOf },
      ...(some(({ overrides }) => overrides.length > 0)
        ? [{ title: 'overrides', value: (item: ShownVariable) => item.overrides.join(', ') }]
        : []),
    ],
    'No variables.',
  );
}

const kindOf = ({ kind }: ShownVariable): string => (kind === 'environment' ? 'env' : kind);

export function showValue(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
