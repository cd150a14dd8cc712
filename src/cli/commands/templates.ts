import { resolve } from 'node:path';
import { z } from 'zod';
import { collect } from '../../client/index.ts';
import { templateInputSchema, templateTypes, templateTypeSchema } from '../../model/index.ts';
import type { Source, Template } from '../../model/index.ts';
import { exampleOfTools } from '../../tools/catalogue.ts';
import type { Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { usageError } from '../exit.ts';
import { shellQuote } from '../text/format.ts';
import { confirmDelete, limitFlag, limitOption, yesFlag, yesOption } from './options.ts';
import { ago, printDone, printItem, printList } from './shared.ts';

const templateFlags = [
  { flags: '--type <type>', description: 'what deploys it', choices: templateTypes },
  { flags: '--repository <url>', description: 'git repository with the code' },
  { flags: '--revision <revision>', description: 'branch, tag or commit; the default branch when absent' },
  { flags: '--path <path>', description: 'directory inside the repository or directory' },
  {
    flags: '--directory <directory>',
    description: 'a directory on the machines that run workers, instead of a repository',
  },
  {
    flags: '--credentials <variable>',
    description: 'name of the sensitive environment variable with the token or key',
  },
  { flags: '--file-name <name>', description: 'name of the workflow file, when it is not a usual one' },
  { flags: '--pool <name>', description: 'runner pool whose workers run it' },
  { flags: '--description <text>', description: 'for people' },
];
const templateOptions = z.object({
  type: z.enum(templateTypes).optional(),
  repository: z.string().optional(),
  revision: z.string().optional(),
  path: z.string().optional(),
  directory: z.string().optional(),
  credentials: z.string().optional(),
  fileName: z.string().optional(),
  pool: z.string().optional(),
  description: z.string().optional(),
  project: z.string().optional(),
});

function readSource(options: z.output<typeof templateOptions>, known?: Source): Source {
  const { repository, revision, path, directory, credentials } = options;
  if (repository && directory) throw usageError('--repository and --directory exclude each other');
  if (directory) return { kind: 'local', directory: resolve(directory), path: path ?? '.' };
  if (known?.kind === 'local' && !repository) return { ...known, ...(path ? { path } : {}) };
  const address = repository ?? (known?.kind === 'git' ? known.repository : undefined);
  if (!address) throw usageError('where the code lies is missing', 'give --repository URL, or --directory DIR');
  return {
    ...(known?.kind === 'git' ? known : {}),
    kind: 'git',
    repository: address,
    path: path ?? (known?.kind === 'git' ? known.path : '.'),
    ...(revision ? { revision } : {}),
    ...(credentials ? { credentials } : {}),
  };
}

function readConfig({
  fileName,
  pool,
}: z.output<typeof templateOptions>): Pick<Template['config'], 'fileName' | 'pool'> {
  return { ...(fileName ? { fileName } : {}), ...(pool ? { pool } : {}) };
}

function sourceText({ source }: Template): string {
  const place = source.kind === 'git' ? source.repository : source.directory;
  return `${place}${source.path === '.' ? '' : `//${source.path}`}${source.kind === 'git' && source.revision ? `@${source.revision}` : ''}`;
}

export function addTemplates({ add, group }: Registry): void {
  const template = group('template', 'Templates: what to deploy, and where its code is', ['templates']);
  add(
    {
      usage: 'list',
      aliases: ['ls'],
      summary: 'List templates',
      examples: [['windlass template list --type workflow', '']],
      flags: [
        { flags: '--project <project>', description: 'of this project' },
        { flags: '--type <type>', description: 'of this type', choices: templateTypes },
        { flags: '--name <name>', description: 'with this name' },
        limitFlag,
      ],
      options: z.object({
        ...limitOption,
        project: z.string().optional(),
        type: templateTypeSchema.optional(),
        name: z.string().optional(),
      }),
      async run(call) {
        const { limit, ...query } = call.options;
        const { client } = await call.connect();
        printList(
          call,
          await collect(client.templates.list, { query }, { limit }),
          [
            { title: 'name', value: (item) => item.name, keep: true },
            { title: 'type', value: (item) => item.type },
            { title: 'source', value: sourceText },
            { title: 'changed', value: (item) => ago(call, item.updatedAt) },
            { title: 'id', value: (item) => item.id, keep: true },
          ],
          `No templates. Make one:  windlass template create NAME --type ${exampleOfTools().type} --directory DIR`,
        );
      },
    },
    template,
  );
  add(
    {
      usage: 'show <template>',
      summary: 'Show one template',
      examples: [['windlass template show VPC', '']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const item = await client.templates.get({ params: { ref: call.argument(0) } });
        printItem(call, item, [
          ['name', item.name],
          ['type', item.type],
          ['source', sourceText(item)],
          ['settings', Object.keys(item.config).length > 0 ? JSON.stringify(item.config) : null],
          ['retries', item.retryOnDeploy ? `${item.retryOnDeploy.maximum} on deploy` : null],
          ['description', item.description],
          ['changed', ago(call, item.updatedAt)],
          ['id', item.id],
        ]);
      },
    },
    template,
  );
  add(
    {
      usage: 'create <name>',
      summary: 'Create a template',
      examples: [
        [`windlass template create VPC --type ${exampleOfTools().type} --directory ./stacks/vpc`, 'from a directory'],
        [
          'windlass template create shop --type workflow --repository https://git.example.com/shop.git --path deploy',
          'from git',
        ],
      ],
      flags: [...templateFlags, { flags: '--project <project>', description: 'the project to make it in' }],
      options: templateOptions,
      async run(call) {
        const { options } = call;
        if (!options.type) throw usageError('--type is missing', `one of ${templateTypes.join(', ')}`);
        const input = templateInputSchema.parse({
          name: call.argument(0),
          type: options.type,
          source: readSource(options),
          config: readConfig(options),
          ...(options.description ? { description: options.description } : {}),
        });
        const { client } = await call.connect();
        const item = await client.templates.create({ query: { project: options.project }, body: input });
        printDone(
          call,
          `Created template ${item.name} (${item.id}). Next:  windlass environment create NAME --template ${shellQuote(item.name)}`,
          item,
        );
      },
    },
    template,
  );
  add(
    {
      usage: 'update <template>',
      summary: 'Change a template; what is deployed stays until the next deploy',
      examples: [['windlass template update VPC --revision v2', '']],
      flags: [{ flags: '--name <name>', description: 'new name' }, ...templateFlags],
      options: templateOptions.extend({ name: z.string().optional() }),
      async run(call) {
        const { options } = call;
        const { client } = await call.connect();
        const known = await client.templates.get({ params: { ref: call.argument(0) } });
        const input = templateInputSchema.parse({
          name: options.name ?? known.name,
          type: options.type ?? known.type,
          source: readSource(options, known.source),
          config: { ...known.config, ...readConfig(options) },
          ...(known.retryOnDeploy ? { retryOnDeploy: known.retryOnDeploy } : {}),
          ...(known.retryOnDestroy ? { retryOnDestroy: known.retryOnDestroy } : {}),
          ...((options.description ?? known.description)
            ? { description: options.description ?? known.description }
            : {}),
        });
        const item = await client.templates.replace({ params: { ref: known.id }, body: input });
        printDone(call, `Updated template ${item.name}.`, item);
      },
    },
    template,
  );
  add(
    {
      usage: 'delete <template>',
      aliases: ['rm'],
      summary: 'Delete a template that no environment uses',
      examples: [['windlass template delete VPC --yes', '']],
      flags: [yesFlag],
      options: yesOption,
      async run(call) {
        const { client } = await call.connect();
        const item = await client.templates.get({ params: { ref: call.argument(0) } });
        await confirmDelete(call, `template "${item.name}"`);
        await client.templates.delete({ params: { ref: item.id } });
        printDone(call, `Deleted template ${item.name}.`, { deleted: item.id });
      },
    },
    template,
  );
}
