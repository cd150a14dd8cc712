/** `windlass` with a tool more. */
import { addTool } from '../../src/tools/catalogue.ts';
import { toy } from './definition.ts';

async function start(): Promise<void> {
  await addTool(toy, async () => (await import('./tool.ts')).toyTool);
  const { processIo, runCli } = await import('../../src/cli/index.ts');
  process.exit(await runCli(process.argv.slice(2), processIo()));
}

void start();
