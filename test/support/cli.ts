import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { runCli } from '../../src/cli/index.ts';
import { fakeIo } from '../../src/cli/testing/fake-io.test-support.ts';
import type { TestServer } from './windlass.ts';

export interface CliResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** The command that is named after `Fix it, then:`, word by word, without `windlass`. */
  readonly fix: string[];
}

/** Words of a command as a shell would split it. */
export function wordsOf(command: string): string[] {
  return (command.match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? []).map((word) => word.replace(/['"]/g, ''));
}

/** The real command line against a real server. With `answers` a person sits at the terminal and types them. */
export async function cli(server: TestServer, words: readonly string[], answers?: string): Promise<CliResult> {
  const plain = fakeIo({
    env: {
      XDG_CONFIG_HOME: mkdtempSync(join(tmpdir(), 'windlass-cli-')),
      WINDLASS_URL: server.url,
      WINDLASS_TOKEN: server.token,
      NO_COLOR: '1',
    },
  });
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  stdin.end(answers ?? '');
  const asking = { stdin: stdin as unknown as NodeJS.ReadStream, stderr: { ...plain.stderr, isTTY: true } };
  const io = answers === undefined ? plain : { ...plain, ...asking };
  const code = await runCli(words, io);
  const named = /(?:Fix it, then|Next): {2}windlass (.*?)(?: {3}.*)?$/m.exec(plain.out())?.[1];
  return { code, out: plain.out(), err: plain.err(), fix: wordsOf(named ?? '') };
}
