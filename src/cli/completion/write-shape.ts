import { writeFileSync } from 'node:fs';
import { processIo } from '../io.ts';
import { createProgram } from '../program.ts';
import { realDependencies } from '../session.ts';
import { shapeFile } from './answer.ts';
import { shapeOf } from './shape.ts';

/** Run by the build: completion then need not load the commands. */
async function main(): Promise<void> {
  const program = await createProgram({ io: processIo(), dependencies: realDependencies, onExit: () => undefined });
  writeFileSync(shapeFile, JSON.stringify(shapeOf(program)));
}

void main();
