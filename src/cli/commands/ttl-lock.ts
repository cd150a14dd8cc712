import { z } from 'zod';
import type { Environment } from '../../model/index.ts';
import type { Invocation, Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { usageError } from '../exit.ts';
import { formatRelative, shellQuote } from '../text/format.ts';
import { getEnvironment, printDone, printItem } from './shared.ts';
import { readHours, readTtl } from './times.ts';

export function addTtl({ add, group }: Registry): void {
  const ttl = group('ttl', 'Time to live: environments and nodes that destroy themselves');
  add(
    {
      usage: 'show <environment>',
      summary: 'Show when an environment destroys itself',
      examples: [['windlass ttl show shop', '']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        printExpiry(call, await getEnvironment(client, call.argument(0)));
      },
    },
    ttl,
  );
  add(
    {
      usage: 'set <environment> <when>',
      aliases: ['create', 'update'],
      summary: 'Set when an environment, or one node of it, destroys itself',
      examples: [
        ['windlass ttl set shop 8h', 'eight hours after a deploy; 3d for days'],
        ['windlass ttl set shop 2026-12-24T18:00:00Z', 'at this moment'],
        ['windlass ttl set shop unlimited', 'never'],
        ['windlass ttl set shop/db 4h', 'one node; the rest of the environment stays'],
      ],
      options: noOptions,
      run: setTtl,
    },
    ttl,
  );
  add(
    {
      usage: 'extend <environment> <hours>',
      summary: 'Put the end off by some hours',
      examples: [
        ['windlass ttl extend shop 4h', 'four hours more; 2d for days'],
        ['windlass ttl extend shop/db 4h', 'of one node'],
      ],
      options: noOptions,
      async run(call) {
        const hours = readHours(call.argument(1));
        const { client } = await call.connect();
        const { id } = await getEnvironment(client, call.argument(0));
        await client.environments.extendTtl({ params: { ref: id }, body: { hours } });
        printExpiry(call, await getEnvironment(client, id));
      },
    },
    ttl,
  );
}

async function setTtl(call: Invocation<unknown>): Promise<void> {
  const body = readTtl(call.argument(1));
  const { client } = await call.connect();
  const { id } = await getEnvironment(client, call.argument(0));
  await client.environments.setTtl({ params: { ref: id }, body });
  printExpiry(call, await getEnvironment(client, id));
}

function printExpiry(call: Invocation<unknown>, environment: Environment): void {
  const { expiresAt, expiryHeld, settings } = environment;
  printDone(call, describeExpiry(environment, call.argument(0), call.io.now()), {
    ttl: settings.ttl ?? { kind: 'unlimited' },
    expiresAt,
    ...(expiryHeld === null ? {} : { expiryHeld }),
  });
}

/** `reference` is what the environment was called by, which says of a node whose it is. */
function describeExpiry(
  { name: own, alias, expiresAt, expiryHeld, flags }: Environment,
  reference: string,
  nowMs: number,
): string {
  const name = alias === null ? own : reference;
  if (expiresAt === null) return `${name} has no end set.`;
  const when = `${formatRelative(expiresAt, nowMs)}, at ${expiresAt}`;
  if (Date.parse(expiresAt) > nowMs) return `${name} destroys itself ${when}.`;
  if (expiryHeld !== null) return `The life of ${name} ended ${when}, but it is still there: ${expiryHeld}`;
  const next = flags.lock
    ? `is due as soon as the lock is taken off:  windlass unlock ${shellQuote(name)}`
    : `is due:  windlass deployment list ${shellQuote(name)}`;
  return `The life of ${name} ended ${when}. Its destroy ${next}`;
}

const reasonFlags = [{ flags: '--reason <text>', description: 'shown to whoever is refused a run' }];
const reasonOptions = z.object({ reason: z.string().optional() });

async function lock(call: Invocation<z.output<typeof reasonOptions>>): Promise<void> {
  const { reason } = call.options;
  if (!reason) throw usageError('--reason is missing', 'whoever is refused a run reads it');
  const { client } = await call.connect();
  const { id, name } = await getEnvironment(client, call.argument(0));
  const answer = await client.environments.lock({ params: { ref: id }, body: { reason } });
  printDone(call, `Locked ${name}: no run starts until  windlass unlock ${shellQuote(name)}`, answer);
}

async function unlock(call: Invocation<unknown>): Promise<void> {
  const { client } = await call.connect();
  const { id, name } = await getEnvironment(client, call.argument(0));
  await client.environments.unlock({ params: { ref: id } });
  printDone(call, `Unlocked ${name}.`, { unlocked: id });
}

/** The same verbs under the noun, where people look for them too. */
export function addEnvironmentVerbs(add: Registry['add'], environment: ReturnType<Registry['group']>): void {
  add(
    {
      usage: 'lock <environment>',
      summary: 'Refuse all runs, scheduled ones too',
      examples: [['windlass environment lock shop --reason "migration until 15:00"', '']],
      flags: reasonFlags,
      options: reasonOptions,
      run: lock,
    },
    environment,
  );
  add(
    {
      usage: 'unlock <environment>',
      summary: 'Let runs start again',
      examples: [['windlass environment unlock shop', '']],
      options: noOptions,
      run: unlock,
    },
    environment,
  );
  add(
    {
      usage: 'ttl <environment> <when>',
      summary: 'Set when it destroys itself',
      examples: [['windlass environment ttl shop 8h', 'eight hours after a deploy; unlimited for never']],
      options: noOptions,
      run: setTtl,
    },
    environment,
  );
}

export function addLocks({ add }: Registry): void {
  const command = add({
    usage: 'lock <environment>',
    summary: 'Refuse all runs of an environment, scheduled ones too',
    examples: [
      ['windlass lock shop --reason "migration until 15:00"', ''],
      ['windlass lock show shop', 'who, when and why'],
      ['windlass unlock shop', ''],
    ],
    flags: reasonFlags,
    options: reasonOptions,
    run: lock,
  });
  add(
    {
      usage: 'set <environment>',
      aliases: ['create'],
      summary: 'The same as lock',
      examples: [['windlass lock set shop --reason "migration"', '']],
      flags: reasonFlags,
      options: reasonOptions,
      run: lock,
    },
    command,
  );
  add(
    {
      usage: 'show <environment>',
      summary: 'Show who locked an environment, and why',
      examples: [['windlass lock show shop', '']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const { name, flags: marks } = await getEnvironment(client, call.argument(0));
        if (marks.lock === null) return printDone(call, `${name} is not locked.`, null);
        return printItem(call, marks.lock, [
          ['by', marks.lock.by],
          ['since', formatRelative(marks.lock.at, call.io.now())],
          ['reason', marks.lock.reason],
        ]);
      },
    },
    command,
  );
  add(
    {
      usage: 'delete <environment>',
      aliases: ['rm', 'clear'],
      summary: 'The same as unlock',
      examples: [['windlass lock delete shop', '']],
      options: noOptions,
      run: unlock,
    },
    command,
  );
  add({
    usage: 'unlock <environment>',
    summary: 'Let runs of an environment start again',
    examples: [['windlass unlock shop', '']],
    options: noOptions,
    run: unlock,
  });
}
