import { z } from 'zod';
import { collect } from '../../client/index.ts';
import type { Organization } from '../../model/index.ts';
import type { Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { usageError } from '../exit.ts';
import { confirmDelete, limitFlag, limitOption, yesFlag, yesOption } from './options.ts';
import { changeScopeSettings, scopeSettingsFields, scopeSettingsFlags, scopeSettingsOptions } from './settings.ts';
import { ago, findOrganization, printDone, printItem, printList } from './shared.ts';

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
        const listing = await collect(client.projects.list, {}, call.options);
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
        const item = await client.projects.get({ params: { ref: call.argument(0) } });
        printItem(call, item, [
          ['name', item.name],
          ...scopeSettingsFields(item.settings),
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
        const item = await client.projects.create({
          body: {
            name: call.argument(0),
            ...(organization ? { organization } : {}),
          },
        });
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
        ['windlass project update staging --default-ttl 24h --maximum-ttl 3d', 'how long its environments live'],
        ['windlass project update staging --maximum-ttl none', 'take a setting away'],
      ],
      flags: [{ flags: '--name <name>', description: 'new name' }, ...scopeSettingsFlags],
      options: z.object({ ...scopeSettingsOptions, name: z.string().optional() }),
      async run(call) {
        const { name, ...given } = call.options;
        const { client } = await call.connect();
        const known = await client.projects.get({ params: { ref: call.argument(0) } });
        const settings = changeScopeSettings(known.settings, given);
        if (!name && !settings)
          throw usageError('nothing to change was given', 'windlass project update --help shows what can be');
        const item = await client.projects.update({
          params: { ref: known.id },
          body: {
            ...(name ? { name } : {}),
            ...(settings ? { settings } : {}),
          },
        });
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
        const item = await client.projects.get({ params: { ref: call.argument(0) } });
        await confirmDelete(call, `project "${item.name}" with its templates and variables`);
        await client.projects.delete({ params: { ref: item.id } });
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
          await collect(client.organizations.list, {}),
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
  add(
    {
      usage: 'show [organization]',
      summary: 'Show an organization and its settings',
      examples: [['windlass organization show', 'the only one']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const item = await findOrganization(client, call.optional(0));
        printItem(call, item, organizationFields(call, item));
      },
    },
    organization,
  );
  add(
    {
      usage: 'update [organization]',
      summary: 'Change the settings of an organization; a project may set its own instead',
      examples: [['windlass organization update --default-ttl 3d --maximum-ttl 30d', 'of every project']],
      flags: scopeSettingsFlags,
      options: z.object(scopeSettingsOptions),
      async run(call) {
        const { client } = await call.connect();
        const known = await findOrganization(client, call.optional(0));
        const settings = changeScopeSettings(known.settings, call.options);
        if (!settings)
          throw usageError('nothing to change was given', 'windlass organization update --help shows what can be');
        const item = await client.organizations.update({ params: { ref: known.id }, body: { settings } });
        printItem(call, item, organizationFields(call, item));
      },
    },
    organization,
  );
}

function organizationFields(call: Parameters<typeof ago>[0], item: Organization): [string, string | number | null][] {
  return [
    ['name', item.name],
    ...scopeSettingsFields(item.settings),
    ['made', ago(call, item.createdAt)],
    ['id', item.id],
  ];
}
