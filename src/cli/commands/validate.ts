import { statSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { z } from 'zod';
import { formatProblems, parseWorkflowFile } from '../../definition/index.ts';
import { problemSchema } from '../../model/index.ts';
import type { Problem } from '../../model/index.ts';
import type { Registry } from '../cli.ts';
import { exitCodes, usageError } from '../exit.ts';
import { plural } from '../text/format.ts';
import { safeText } from '../text/width.ts';
import { requireDeployable } from './directory.ts';
import { printValue } from './shared.ts';

const validateOptions = z.object({ project: z.string().optional() });
const answerSchema = z.looseObject({ problems: z.array(problemSchema).default([]) });

export function addValidate({ add }: Registry): void {
  add({
    usage: 'validate <file>',
    summary: 'Check a workflow file without running anything',
    description:
      'Checks the file alone, without a server. With --project it also checks that templates exist and required variables have values.',
    examples: [
      ['windlass validate windlass.workflow.yml', 'the file alone; no server needed'],
      ['windlass validate env0.workflow.yml --project shop', 'and the templates and variables of a project'],
      ['windlass validate . --json', 'all problems, for an editor or a pipeline'],
    ],
    flags: [{ flags: '--project <project>', description: 'check templates and variables of this project too' }],
    options: validateOptions,
    async run(call) {
      const path = call.argument(0);
      const file = resolveFile(path);
      const text = readFileSync(file, 'utf8');
      const parsed = parseWorkflowFile(text, { fileName: file });
      let problems: readonly Problem[] = parsed.problems;
      if (call.options.project && parsed.definition !== null) {
        const { client } = await call.connect();
        // The server must not learn where the file lies; the name decides which format it has.
        const answer = await client.post('validate', answerSchema, {
          fileName: basename(file),
          text,
          project: call.options.project,
        });
        problems = answer.problems.map((problem) => ({
          ...problem,
          file: problem.file === undefined ? problem.file : file,
        }));
      }
      if (call.printer.format !== 'table') printValue(call, { file, valid: problems.length === 0, problems });
      else if (problems.length > 0) {
        const { colors } = call.printer.style;
        call.printer.lines(
          formatProblems(problems).map((line) => safeText(line).replace('  error  ', `  ${colors.red('error')}  `)),
        );
        call.printer.line(`${plural(problems.length, 'problem')}, nothing was run`);
      } else {
        const nodes = parsed.definition?.nodes.length ?? 0;
        const { glyphs, colors } = call.printer.style;
        call.printer.line(`${colors.green(glyphs.done)} ${file} is valid: ${plural(nodes, 'sub-environment')}`);
      }
      return problems.length === 0 ? exitCodes.done : exitCodes.failed;
    },
  });
}

const largestFile = 5_000_000;

/** The file itself, or the workflow file of a directory. */
function resolveFile(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) throw usageError(`there is no ${path}`);
  if (!found.isDirectory()) {
    if (found.size > largestFile) throw usageError(`${path} is larger than ${largestFile / 1e6} MB`);
    return path;
  }
  const { workflowFile } = requireDeployable(path);
  if (workflowFile === null) throw usageError(`${path} has no workflow file`);
  return `${path.replace(/\/+$/, '')}/${workflowFile}`;
}
