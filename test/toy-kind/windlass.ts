/** `windlass` with a kind of nodes more. */
import { addNodeKind } from '../../src/node/kinds/catalogue.ts';
import { note } from './definition.ts';

async function start(): Promise<void> {
  await addNodeKind(note, async () => (await import('./performer.ts')).performNote);
  const { processIo, runCli } = await import('../../src/cli/index.ts');
  process.exit(await runCli(process.argv.slice(2), processIo()));
}

void start();
