import { processIo, runCli } from './index.ts';

/** Waits until everything written has left the process: a pipe that is full must not cut the result off. */
function flush(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}

async function main(): Promise<void> {
  const code = await runCli(process.argv.slice(2), processIo());
  await Promise.all([flush(process.stdout), flush(process.stderr)]);
  // Connections that are kept alive for reuse would hold the process.
  process.exit(code);
}

void main();
