import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { z } from 'zod';
import type { Registry } from '../cli.ts';
import { CliError, exitCodes } from '../exit.ts';
import { packageRoot } from '../package-root.ts';
import { shellQuote } from '../text/format.ts';
import { createTemplatesOf } from './deploy-directory.ts';
import { printDone } from './shared.ts';

export function addInit({ add }: Registry): void {
  add({
    usage: 'init [directory]',
    summary: 'Write a starter that deploys: a workflow file and two stacks',
    description:
      'Writes a workflow file and two small stacks with comments, ready for `windlass deploy`. With --templates it writes nothing and makes the templates that the workflow file of a directory names.',
    examples: [
      ['windlass init my-shop', 'then: windlass deploy ./my-shop'],
      ['windlass init', 'in this directory'],
      ['windlass init --templates .', 'make templates from directories named like those in env0.workflow.yml'],
    ],
    flags: [
      { flags: '--templates', description: 'make the templates that the workflow file names' },
      { flags: '--project <project>', description: 'of --templates: the project to make them in' },
    ],
    options: z.object({ templates: z.boolean().default(false), project: z.string().optional() }),
    async run(call) {
      const directory = call.optional(0) ?? '.';
      if (call.options.templates) {
        const session = await call.connect();
        await createTemplatesOf(
          { printer: call.printer, options: { createTemplates: true, project: call.options.project } },
          session,
          directory,
        );
        printDone(
          call,
          `The templates of ${directory} are there. Next:  windlass deploy ${shellQuote(pathOf(directory))}`,
          { directory },
        );
        return;
      }
      const files = writeStarter(resolve(directory));
      printDone(
        call,
        [
          ...files.map((file) => `  ${join(directory, file)}`),
          '',
          `Next:  windlass validate ${shellQuote(directory)} · windlass deploy ${shellQuote(pathOf(directory))}`,
        ].join('\n'),
        { directory: resolve(directory), files },
      );
    },
  });
}

/** A path that cannot be taken for the name of an environment. */
function pathOf(directory: string): string {
  return /^(\.|\/|~)/.test(directory) ? directory : `./${directory}`;
}

/** Copies the starter; writes nothing when any of its files is there already. Answers the files, relative. */
export function writeStarter(directory: string): string[] {
  const starter = join(packageRoot(), 'examples', 'starter');
  const files = readdirSync(starter, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(starter, join(entry.parentPath, entry.name)))
    .sort();
  const taken = files.filter((file) => existsSync(join(directory, file)));
  if (taken.length > 0) {
    throw new CliError(
      `${taken.map((file) => join(directory, file)).join(', ')} ${taken.length === 1 ? 'is' : 'are'} there already`,
      {
        exitCode: exitCodes.usage,
        hint: 'nothing was written; name another directory: windlass init DIRECTORY',
      },
    );
  }
  mkdirSync(directory, { recursive: true });
  for (const file of files) cpSync(join(starter, file), join(directory, file));
  return files;
}
