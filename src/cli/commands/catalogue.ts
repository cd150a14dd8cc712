import { resolve } from 'node:path';
import { z } from 'zod';
import { apiKeySchema, organizationSchema, projectSchema, templateInputSchema, templateSchema, templateTypes } from '../../model/index.ts';
import type { Source, Template } from '../../model/index.ts';
import { ref } from '../client/api-client.ts';
import type { Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { usageError } from '../exit.ts';
import { shellQuote } from '../text/format.ts';
import { confirmDelete, limitFlag, limitOption, yesFlag, yesOption } from './options.ts';
import { ago, pathWith, printDone, printItem, printList } from './shared.ts';

export function addProjects({ add, group }: Registry): void {
  const project = group('project', 'Projects: templates and environments that belong together', ['projects']);
  add(
    {
      usage: 'list',
      aliases: ['ls'],
      summary: 'List projects',
      examples: [['windlass project list', '']],
      flags: [limitFlag],
      options: z.object(limitOption),
      async run(call) {
        const { client } = await call.connect();
        const listing = await client.list('projects', projectSchema, call.options);
        printList(
          call,
          listing,
          [
            { title: 'name', value: (item) => item.name, keep: true },
            { title: 'made', value: (item) => ago(call, item.createdAt) },
            { title: 'id', value: (item) => item.id, keep: true },
          ],
          'No projects.',
        );
      },
    },
    project,
  );
  add(
    {
      usage: 'show <project>',
      summary: 'Show one project',
      examples: [['windlass project show default', '']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const item = await client.get(`projects/${ref(call.argument(0))}`, projectSchema);
        printItem(call, item, [
          ['name', item.name],
          ['settings', JSON.stringify(item.settings)],
          ['made', ago(call, item.createdAt)],
          ['organization', item.organizationId],
          ['id', item.id],
        ]);
      },
    },
    project,
  );
  add(
    {
      usage: 'create <name>',
      summary: 'Create a project',
      examples: [['windlass project create staging', '']],
      flags: [{ flags: '--organization <name>', description: 'the only one when absent' }],
      options: z.object({ organization: z.string().optional() }),
      async run(call) {
        const { client } = await call.connect();
        const { organization } = call.options;
        const item = await client.post('projects', projectSchema, { name: call.argument(0), ...(organization ? { organization } : {}) });
        printDone(call, `Created project ${item.name} (${item.id}).`, item);
      },
    },
    project,
  );
  add(
    {
      usage: 'update <project>',
      summary: 'Change a project',
      examples: [
        ['windlass project update staging --name test', ''],
        ['windlass project update staging --default-ttl-hours 24 --maximum-ttl-hours 72', ''],
      ],
      flags: [
        { flags: '--name <name>', description: 'new name' },
        { flags: '--default-ttl-hours <hours>', description: 'of environments that say nothing else' },
        { flags: '--maximum-ttl-hours <hours>', description: 'no environment lives longer after a deploy' },
        { flags: '--max-parallel <n>', description: 'nodes at once over all runs' },
      ],
      options: z.object({
        name: z.string().optional(),
        defaultTtlHours: z.coerce.number('expected hours').positive().optional(),
        maximumTtlHours: z.coerce.number('expected hours').positive().optional(),
        maxParallel: z.coerce.number('expected a whole number').int().positive().optional(),
      }),
      async run(call) {
        const { name, defaultTtlHours, maximumTtlHours, maxParallel } = call.options;
        const { client } = await call.connect();
        const known = await client.get(`projects/${ref(call.argument(0))}`, projectSchema);
        const settings = {
          ...known.settings,
          ...(defaultTtlHours ? { defaultTtl: { kind: 'hours', hours: defaultTtlHours } } : {}),
          ...(maximumTtlHours ? { maximumTtlHours } : {}),
          ...(maxParallel ? { maxParallel } : {}),
        };
        const item = await client.patch(`projects/${ref(known.id)}`, projectSchema, { ...(name ? { name } : {}), settings });
        printDone(call, `Updated project ${item.name}.`, item);
      },
    },
    project,
  );
  add(
    {
      usage: 'delete <project>',
      aliases: ['rm'],
      summary: 'Delete a project without environments',
      examples: [['windlass project delete staging --yes', '']],
      flags: [yesFlag],
      options: yesOption,
      async run(call) {
        const { client } = await call.connect();
        const item = await client.get(`projects/${ref(call.argument(0))}`, projectSchema);
        await confirmDelete(call, `project "${item.name}" with its templates and variables`);
        await client.delete(`projects/${ref(item.id)}`);
        printDone(call, `Deleted project ${item.name}.`, { deleted: item.id });
      },
    },
    project,
  );
  const organization = group('organization', 'Organizations', ['org']);
  add(
    {
      usage: 'list',
      aliases: ['ls'],
      summary: 'List organizations',
      examples: [['windlass organization list', '']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        printList(
          call,
          await client.list('organizations', organizationSchema),
          [
            { title: 'name', value: (item) => item.name, keep: true },
            { title: 'id', value: (item) => item.id, keep: true },
          ],
          'No organizations.',
        );
      },
    },
    organization,
  );
}

const templateFlags = [
  { flags: '--type <type>', description: 'what deploys it', choices: templateTypes },
  { flags: '--repository <url>', description: 'git repository with the code' },
  { flags: '--revision <revision>', description: 'branch, tag or commit; the default branch when absent' },
  { flags: '--path <path>', description: 'directory inside the repository or directory' },
  { flags: '--directory <directory>', description: 'a directory on the machines that run workers, instead of a repository' },
  { flags: '--credentials <variable>', description: 'name of the sensitive environment variable with the token or key' },
  { flags: '--file-name <name>', description: 'name of the workflow file, when it is not a usual one' },
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
      options: z.object({ ...limitOption, project: z.string().optional(), type: z.string().optional(), name: z.string().optional() }),
      async run(call) {
        const { limit, ...query } = call.options;
        const { client } = await call.connect();
        printList(
          call,
          await client.list('templates', templateSchema, { query, limit }),
          [
            { title: 'name', value: (item) => item.name, keep: true },
            { title: 'type', value: (item) => item.type },
            { title: 'source', value: sourceText },
            { title: 'changed', value: (item) => ago(call, item.updatedAt) },
            { title: 'id', value: (item) => item.id, keep: true },
          ],
          'No templates. Make one:  windlass template create NAME --type opentofu --directory DIR',
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
        const item = await client.get(`templates/${ref(call.argument(0))}`, templateSchema);
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
        ['windlass template create VPC --type opentofu --directory ./stacks/vpc', 'from a directory'],
        ['windlass template create shop --type workflow --repository https://git.example.com/shop.git --path deploy', 'from git'],
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
          config: options.fileName ? { fileName: options.fileName } : {},
          ...(options.description ? { description: options.description } : {}),
        });
        const { client } = await call.connect();
        const item = await client.post(pathWith('templates', { project: options.project }), templateSchema, input);
        printDone(call, `Created template ${item.name} (${item.id}). Next:  windlass environment create NAME --template ${shellQuote(item.name)}`, item);
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
        const known = await client.get(`templates/${ref(call.argument(0))}`, templateSchema);
        const input = templateInputSchema.parse({
          name: options.name ?? known.name,
          type: options.type ?? known.type,
          source: readSource(options, known.source),
          config: { ...known.config, ...(options.fileName ? { fileName: options.fileName } : {}) },
          ...(known.retryOnDeploy ? { retryOnDeploy: known.retryOnDeploy } : {}),
          ...(known.retryOnDestroy ? { retryOnDestroy: known.retryOnDestroy } : {}),
          ...(options.description ?? known.description ? { description: options.description ?? known.description } : {}),
        });
        const item = await client.put(`templates/${ref(known.id)}`, templateSchema, input);
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
        const item = await client.get(`templates/${ref(call.argument(0))}`, templateSchema);
        await confirmDelete(call, `template "${item.name}"`);
        await client.delete(`templates/${ref(item.id)}`);
        printDone(call, `Deleted template ${item.name}.`, { deleted: item.id });
      },
    },
    template,
  );
}

/** The key itself comes once, when it is made; its field's name is the server's. */
const newKeySchema = z.looseObject({ id: z.string(), name: z.string() });

export function addKeys({ add, group }: Registry): void {
  const key = group('key', 'API keys', ['keys']);
  add(
    {
      usage: 'list',
      aliases: ['ls'],
      summary: 'List API keys, never the keys themselves',
      examples: [['windlass key list', '']],
      flags: [limitFlag],
      options: z.object(limitOption),
      async run(call) {
        const { client } = await call.connect();
        printList(
          call,
          await client.list('keys', apiKeySchema, call.options),
          [
            { title: 'name', value: (item) => item.name, keep: true },
            { title: 'begins', value: (item) => item.prefix },
            { title: 'permissions', value: (item) => item.permissions.join(', ') },
            { title: 'expires', value: (item) => (item.expiresAt ? ago(call, item.expiresAt) : 'never') },
            { title: 'last used', value: (item) => ago(call, item.lastUsedAt) },
            { title: 'id', value: (item) => item.id, keep: true },
          ],
          'No keys.',
        );
      },
    },
    key,
  );
  add(
    {
      usage: 'create <name>',
      summary: 'Create an API key; it is shown once',
      examples: [
        ['windlass key create ci --permission execute --expires-days 90', ''],
        ['windlass key create viewer --permission view', ''],
      ],
      flags: [
        { flags: '--permission <permission>', description: 'what it may do; several times for several', repeat: true },
        { flags: '--expires-days <days>', description: 'never when absent' },
      ],
      options: z.object({ permission: z.array(z.string()).optional(), expiresDays: z.coerce.number('expected days').positive().optional() }),
      async run(call) {
        const { permission, expiresDays } = call.options;
        const { client } = await call.connect();
        const expiresAt = expiresDays === undefined ? undefined : new Date(call.io.now() + expiresDays * 86_400_000).toISOString();
        const item = await client.post('keys', newKeySchema, {
          name: call.argument(0),
          ...(permission ? { permissions: permission } : {}),
          ...(expiresAt ? { expiresAt } : {}),
        });
        const secret = [item['key'], item['token'], item['secret']].find((value) => typeof value === 'string');
        call.printer.remark(call.printer.format === 'table' ? 'The key is shown only now:' : '');
        printDone(call, String(secret ?? JSON.stringify(item)), item);
      },
    },
    key,
  );
  add(
    {
      usage: 'delete <key>',
      aliases: ['rm', 'revoke'],
      summary: 'Revoke an API key at once',
      examples: [['windlass key delete key_01jd3k9x2m7q4w8s5t6v --yes', '']],
      flags: [yesFlag],
      options: yesOption,
      async run(call) {
        const { client } = await call.connect();
        const reference = call.argument(0);
        await confirmDelete(call, `key "${reference}": whoever uses it is shut out`);
        await client.delete(`keys/${ref(reference)}`);
        printDone(call, `Revoked ${reference}.`, { deleted: reference });
      },
    },
    key,
  );
}
