import { z } from 'zod';
import { createClient } from '../../client/index.ts';
import type { Registry } from '../cli.ts';
import { noOptions } from '../cli.ts';
import { CliError, exitCodes, usageError } from '../exit.ts';
import { ownVersion } from '../package-root.ts';
import { profilePath } from '../../config-trust.ts';
import { readProfile, removeProfile, writeProfile } from '../profile.ts';
import { checkUrl } from '../session.ts';
import { createSecretReader, printDone, printItem } from './shared.ts';

export function addAccount({ add }: Registry): void {
  add({
    usage: 'login <url>',
    summary: 'Store the address of a server and a key for it',
    description:
      'Tries the key and stores both in the profile, readable by you alone. The key comes from WINDLASS_TOKEN, from standard input, or is asked for.',
    examples: [
      ['windlass login https://windlass.example.com', 'asks for the key'],
      ['windlass login https://windlass.example.com < key.txt', 'for scripts'],
    ],
    options: z.object({ token: z.string().optional() }),
    async run(call) {
      const url = checkUrl(call.argument(0));
      const token = (call.options.token ?? (await createSecretReader(call.io)(['WINDLASS_TOKEN']))[0] ?? '').trim();
      if (!/^[\x21-\x7e]{8,500}$/.test(token))
        throw usageError('this does not look like a key', 'a key is one word; make one with: windlass key create NAME');
      if (new URL(url).protocol === 'http:' && !/^http:\/\/(127\.|localhost|\[::1\])/.test(url)) {
        call.printer.remark(
          'The connection is not encrypted: whoever listens on the way can read the key. Better an https address.',
        );
      }
      const { name } = await createClient({ url, token }).keys.current();
      const file = writeProfile(call.io.env, { url, token });
      printDone(call, `Logged in to ${url} as ${name}. Stored in ${file}`, { url, name, file });
    },
  });
  add({
    usage: 'logout',
    summary: 'Forget the stored server and key',
    examples: [['windlass logout', '']],
    options: noOptions,
    async run(call) {
      const known = removeProfile(call.io.env);
      printDone(
        call,
        known
          ? `Removed ${profilePath(call.io.env)}. The key itself still works; revoke it with: windlass key delete`
          : 'Nothing was stored.',
        { removed: known },
      );
    },
  });
  add({
    usage: 'whoami',
    summary: 'Show which server commands talk to, and as whom',
    examples: [['windlass whoami', '']],
    options: noOptions,
    async run(call) {
      const session = await call.connectIfRunning();
      if (!session)
        throw new CliError('no server is running', { exitCode: exitCodes.failed, hint: 'start one: windlass up' });
      const me = await session.client.keys.current();
      printItem(call, { url: session.client.url, ...me }, [
        ['server', session.client.url],
        ['key', me.name],
        ['profile', readProfile(call.io.env) ? profilePath(call.io.env) : null],
      ]);
    },
  });
  add({
    usage: 'version',
    summary: 'Print the versions of this command and of the server',
    examples: [
      ['windlass version', ''],
      ['windlass version --json', 'for scripts'],
    ],
    options: noOptions,
    async run(call) {
      const session = await call.connectIfRunning().catch(() => null);
      const server = session ? await session.client.tools.version().catch(() => null) : null;
      printItem(
        call,
        {
          cli: ownVersion(),
          server: server?.version ?? null,
          url: session?.client.url ?? null,
          node: process.versions.node,
        },
        [
          ['windlass', ownVersion()],
          ['server', server ? `${server.version} at ${session?.client.url ?? ''}` : 'none running'],
          ['Node', process.versions.node],
        ],
      );
    },
  });
}
