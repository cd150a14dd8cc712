import { z } from 'zod';
import { collect } from '../../client/index.ts';
import type { Registry } from '../cli.ts';
import { confirmDelete, limitFlag, limitOption, yesFlag, yesOption } from './options.ts';
import { addEncryption } from './encryption.ts';
import { ago, printDone, printList, printSecretOnce } from './shared.ts';

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
          await collect(client.keys.list, {}, call.options),
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
        ['windlass key create ci --permission execute --expires-days 90', 'deploys, and sees what it does'],
        ['windlass key create viewer --permission view', 'looks and changes nothing'],
        ['windlass key create team --permission execute@shop --permission approve@shop', 'one project alone'],
      ],
      flags: [
        { flags: '--permission <permission>', description: 'what it may do; several times for several', repeat: true },
        { flags: '--expires-days <days>', description: 'never when absent' },
      ],
      options: z.object({
        permission: z.array(z.string()).optional(),
        expiresDays: z.coerce.number('expected days').positive().optional(),
      }),
      async run(call) {
        const { permission, expiresDays } = call.options;
        const { client } = await call.connect();
        const expiresAt =
          expiresDays === undefined ? undefined : new Date(call.io.now() + expiresDays * 86_400_000).toISOString();
        const item = await client.keys.create({
          body: {
            name: call.argument(0),
            ...(permission ? { permissions: permission } : {}),
            ...(expiresAt ? { expiresAt } : {}),
          },
        });
        printSecretOnce(call, 'key', item);
      },
    },
    key,
  );
  add(
    {
      usage: 'delete <key>',
      aliases: ['rm', 'revoke'],
      summary: 'Revoke an API key at once',
      examples: [['windlass key delete ci --yes', '']],
      flags: [yesFlag],
      options: yesOption,
      async run(call) {
        const { client } = await call.connect();
        const reference = call.argument(0);
        await confirmDelete(call, `key "${reference}": whoever uses it is shut out`);
        await client.keys.revoke({ params: { ref: reference } });
        printDone(call, `Revoked ${reference}.`, { deleted: reference });
      },
    },
    key,
  );
  addEncryption({ add }, key);
}
