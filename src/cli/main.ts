import { answerCompletion, completionWord, readShape } from './completion/answer.ts';

/** Waits until everything written has left the process: a pipe that is full must not cut the result off. */
function flush(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}

async function run(words: readonly string[]): Promise<number> {
  const shape = words[0] === completionWord ? readShape() : null;
  if (shape !== null) {
    const lines = await answerCompletion(shape, words.slice(1), process.env);
    process.stdout.write(lines.map((line) => `${line}\n`).join(''));
    return 0;
  }
  // Loaded only here: somebody waits at a prompt for the answer above.
  const { processIo, runCli } = await import('./index.ts');
  return runCli(words, processIo());
}

async function main(): Promise<void> {
  const code = await run(process.argv.slice(2));
  await Promise.all([flush(process.stdout), flush(process.stderr)]);
  // Connections that are kept alive for reuse would hold the process.
  process.exit(code);
}

void main();
