import { z } from 'zod';
import { collect } from '../../client/index.ts';
import type { Registry } from '../cli.ts';
import { confirmDelete, limitFlag, limitOption, yesFlag, yesOption } from './options.ts';
import { ago, printDone, printList, printSecretOnce } from './shared.ts';

export function addPools({ add, group }: Registry): void {
  const pool = group('pool', 'Runner pools: workers of yours elsewhere, with a key of their own', ['pools']);
  add(
    {
      usage: 'list',
      aliases: ['ls'],
      summary: 'List runner pools, their workers and what waits for them',
      examples: [['windlass pool list', '']],
      flags: [limitFlag],
      options: z.object(limitOption),
      async run(call) {
        const { client } = await call.connect();
        printList(
          call,
          await collect(client.pools.list, {}, call.options),
          [
            { title: 'name', value: (item) => item.name, keep: true },
            { title: 'workers', value: (item) => String(item.workers) },
            { title: 'last seen', value: (item) => (item.lastSeenAt === null ? 'never' : ago(call, item.lastSeenAt)) },
            { title: 'running', value: (item) => String(item.running) },
            { title: 'waiting', value: (item) => (item.waiting === null ? '?' : String(item.waiting)) },
            { title: 'description', value: (item) => item.description ?? '' },
          ],
          'No runner pools. Make one:  windlass pool create eu-private',
        );
      },
    },
    pool,
  );
  add(
    {
      usage: 'create <name>',
      summary: 'Create a runner pool; its token is shown once',
      examples: [
        ['windlass pool create eu-private', 'then, on a machine of that network:'],
        ['windlass worker --pool eu-private', 'with WINDLASS_URL, WINDLASS_POOL_TOKEN and TEMPORAL_ADDRESS'],
        ['windlass template update VPC --pool eu-private', 'its stacks run there from now on'],
      ],
      flags: [{ flags: '--description <text>', description: 'for people' }],
      options: z.object({ description: z.string().optional() }),
      async run(call) {
        const { client } = await call.connect();
        const { description } = call.options;
        const item = await client.pools.create({
          body: { name: call.argument(0), ...(description ? { description } : {}) },
        });
        printSecretOnce(call, 'token', item);
      },
    },
    pool,
  );
  add(
    {
      usage: 'rotate <pool>',
      summary: 'Give a pool a new token; the old one ends at once',
      examples: [['windlass pool rotate eu-private', '']],
      options: z.object({}),
      async run(call) {
        const { client } = await call.connect();
        printSecretOnce(call, 'token', await client.pools.rotate({ params: { name: call.argument(0) } }));
      },
    },
    pool,
  );
  add(
    {
      usage: 'delete <pool>',
      aliases: ['rm'],
      summary: 'Delete a runner pool; its workers are shut out at once',
      examples: [['windlass pool delete eu-private --yes', '']],
      flags: [yesFlag],
      options: yesOption,
      async run(call) {
        const { client } = await call.connect();
        const name = call.argument(0);
        await confirmDelete(call, `runner pool "${name}": its workers are shut out`);
        await client.pools.remove({ params: { name } });
        printDone(call, `Deleted ${name}.`, { deleted: name });
      },
    },
    pool,
  );
}
