import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { z } from 'zod';
import { formatProblems, positionOf, quote } from '../../definition/index.ts';
import type { NodeDefinition, Problem } from '../../model/index.ts';
import type { Registry } from '../cli.ts';
import { exitCodes, usageError } from '../exit.ts';
import { plural } from '../text/format.ts';
import { safeText } from '../text/width.ts';
import { requireDeployable } from './directory.ts';
import { readLocalGraph } from './nested-files.ts';
import { printValue } from './shared.ts';

const validateOptions = z.object({ project: z.string().optional() });

export function addValidate({ add }: Registry): void {
  add({
    usage: 'validate <file>',
    summary: 'Check a workflow file without running anything',
    description:
      'Checks the file alone, without a server. Code beside it may lie as far up as the root of the git repository it is in. With --project it also checks that templates exist, and the variables of the project: that ${VAR} and required ones have values.',
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
      const place = placeInSource(file);
      const graph = readLocalGraph(file, (each) => placeInSource(each).directory);
      let problems: readonly Problem[] = graph.problems.length > 0 ? graph.problems : linksOut(graph.own, place, file);
      if (call.options.project && problems.length === 0) {
        const { client } = await call.connect();
        // The server must not learn where the file lies; the name decides which format it has.
        const answer = await client.tools.validate({
          body: {
            fileName: basename(file),
            directory: place.directory,
            text: readFileSync(file, 'utf8'),
            project: call.options.project,
          },
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
        const nodes = graph.nodes.length;
        const { glyphs, colors } = call.printer.style;
        call.printer.line(`${colors.green(glyphs.done)} ${file} is valid: ${plural(nodes, 'sub-environment')}`);
      }
      return problems.length === 0 ? exitCodes.done : exitCodes.failed;
    },
  });
}

interface PlaceInSource {
  readonly root: string;
  /** Of the file, relative to the root. */
  readonly directory: string;
}

/** The repository that the file lies in is its source; without one, its own directory. */
export function placeInSource(file: string): PlaceInSource {
  const own = dirname(resolve(file));
  for (let root = own; ; root = dirname(root)) {
    if (existsSync(join(root, '.git'))) return { root, directory: relative(root, own).split(sep).join('/') || '.' };
    if (dirname(root) === root) return { root: own, directory: '.' };
  }
}

/** Paths that stay inside the source by their letters, and lead out of it by a link: a run refuses them, too. */
function linksOut(nodes: readonly NodeDefinition[], { root, directory }: PlaceInSource, file: string): Problem[] {
  const realRoot = realpathSync(root);
  return nodes.flatMap((node): Problem[] => {
    const source = node.inline?.source;
    const path = source?.kind === 'own' ? join(root, directory, source.path) : null;
    if (path === null || !existsSync(path)) return [];
    const outside = relative(realRoot, realpathSync(path)).split(sep)[0] === '..';
    if (!outside) return [];
    const { line, column } = positionOf(node, 'vcs.path') ?? {};
    return [
      {
        file,
        line,
        column,
        message: `vcs of sub-environment ${quote(node.alias)}: the path leads out of its source by a link`,
      },
    ];
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
