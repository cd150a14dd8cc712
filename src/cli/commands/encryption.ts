import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { collect } from '../../client/index.ts';
import type { AnswerOf, Client } from '../../client/index.ts';
import type { Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { CliError } from '../exit.ts';
import { createMeter } from '../text/meter.ts';
import { ago, printDone, printList } from './shared.ts';

/** A worker says every five seconds which keys it holds. */
const longestWaitMs = 20_000;

export function addEncryption({ add }: Pick<Registry, 'add'>, key: Command): void {
  add(
    {
      usage: 'encryption',
      summary: 'List the encryption keys that the database knows',
      examples: [['windlass key encryption', 'which one seals, and which are still needed']],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        printList(
          call,
          await collect(client.encryption.listKeys, {}),
          [
            { title: 'id', value: (item) => item.id, keep: true },
            { title: 'status', value: (item) => item.status, keep: true },
            { title: 'first used', value: (item) => ago(call, item.createdAt) },
            { title: 'retired', value: (item) => (item.retiredAt ? ago(call, item.retiredAt) : '') },
            { title: 'from', value: (item) => item.origin },
          ],
          'No keys are recorded.',
        );
      },
    },
    key,
  );
  add(
    {
      usage: 'rotate-encryption',
      summary: 'Seal everything that is stored with a new encryption key',
      description:
        'The embedded server makes the new key itself, in its key file. Elsewhere put the new key before the old one in WINDLASS_ENCRYPTION_KEY or the key file of every process, start them again one after the other, then run this. It may be stopped and run again; the server goes on meanwhile.',
      examples: [
        ['windlass key rotate-encryption', ''],
        ['windlass key rotate-encryption --json', 'for scripts'],
      ],
      options: noOptions,
      async run(call) {
        const { client } = await call.connect();
        const meter = createMeter(call.io, call.printer);
        const deadline = call.io.now() + longestWaitMs;
        let cursor: string | null = null;
        let sealed = 0;
        try {
          for (;;) {
            const step: AnswerOf<Client['encryption']['rotate']> = await client.encryption.rotate({
              body: { cursor },
            });
            sealed += step.sealed;
            cursor = step.cursor;
            if (step.state === 'done') {
              meter.close();
              const retired = step.retired.length > 0 ? ` Key ${step.retired.join(', ')} is no longer used.` : '';
              printDone(call, `Sealed ${sealed} values with key ${step.keyId}.${retired}`, {
                keyId: step.keyId,
                sealed,
                retired: step.retired,
              });
              if (step.retired.length > 0 && call.printer.format === 'table')
                call.printer.remark(
                  'It may be removed from the key file or WINDLASS_ENCRYPTION_KEY. Keep it for copies of the database from before (`windlass backup` keeps it with the backup).',
                );
              return;
            }
            if (step.state === 'sealing') {
              meter.show(`sealing with key ${step.keyId}`, step.looked, step.total);
              continue;
            }
            if (call.io.now() > deadline) {
              throw new CliError(`these processes do not hold the new key: ${step.waitingFor.join(', ')}`, {
                hint: 'nothing has changed. Put the new key first in their WINDLASS_ENCRYPTION_KEY or key file, the old one after it, start them again, then repeat this',
              });
            }
            meter.show('waiting until all processes hold the new key', 0, 0);
            await sleep(1000);
          }
        } finally {
          meter.close();
        }
      },
    },
    key,
  );
}
