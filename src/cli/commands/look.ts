import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { formatProblems } from '../../definition/index.ts';
import { environmentStatusWord } from '../../model/index.ts';
import type { Invocation, Registry } from '../cli.ts';
import { CliError } from '../exit.ts';
import { drawDot, drawMermaid, drawText, graphFormats } from '../graph-text.ts';
import type { DrawnNode } from '../graph-text.ts';
import { formatRelative } from '../text/format.ts';
import { oneLine } from '../text/width.ts';
import { inspectPath, isPath } from './directory.ts';
import { readLocalGraph } from './nested-files.ts';
import { getEnvironment, printValue } from './shared.ts';
import { placeInSource } from './validate.ts';

const graphOptions = z.object({ format: z.enum(graphFormats).default('text') });

export function addGraph({ add }: Registry): void {
  add({
    usage: 'graph <environment>',
    summary: 'Draw the graph of an environment or a workflow file',
    examples: [
      ['windlass graph shop', 'as a tree, with statuses'],
      ['windlass graph windlass.workflow.yml', 'of a file; no server needed'],
      ['windlass graph shop --format mermaid', 'for a document; dot for Graphviz'],
    ],
    flags: [{ flags: '--format <format>', description: 'how it is drawn', choices: graphFormats, fallback: 'text' }],
    options: graphOptions,
    async run(call) {
      const target = call.argument(0);
      const { title, nodes } = isFile(target)
        ? { title: null, nodes: readFileGraph(target) }
        : await fetchGraph(call, target);
      if (call.printer.format !== 'table') return printValue(call, { nodes });
      switch (call.options.format) {
        case 'text':
          if (title !== null) call.printer.lines([title, '']);
          return call.printer.lines(drawText(nodes, call.printer.style));
        case 'dot':
          return call.printer.lines(drawDot(nodes));
        case 'mermaid':
          return call.printer.lines(drawMermaid(nodes));
        default:
          return undefined;
      }
    },
  });
}

function isFile(target: string): boolean {
  return isPath(target) || (existsSync(target) && inspectPath(target)?.type === 'workflow');
}

function readFileGraph(target: string): DrawnNode[] {
  const directory = existsSync(target) && statSync(target).isDirectory();
  const file = directory ? join(target, inspectPath(target)?.workflowFile ?? 'windlass.workflow.yml') : target;
  const { nodes, groups, problems } = readLocalGraph(file, (each) => placeInSource(each).directory);
  if (problems.length > 0) throw new CliError(formatProblems(problems).join('\n'));
  const drawn = [
    ...groups.map((node) => ({ ...node, isWorkflow: true })),
    ...nodes.map((node) => ({ ...node, isWorkflow: false })),
  ];
  return drawn.map(({ definition: { alias, name, needs, disabled }, within, isWorkflow }) => ({
    alias,
    within,
    isWorkflow,
    name,
    needs,
    disabled,
    status: null,
    drifted: false,
    expires: null,
  }));
}

interface TitledGraph {
  /** `Online shop (shop) · active`; null of a file, which has no name. */
  readonly title: string | null;
  readonly nodes: DrawnNode[];
}

async function fetchGraph(call: Invocation<unknown>, reference: string): Promise<TitledGraph> {
  const { client } = await call.connect();
  const { name, templateName, status } = await getEnvironment(client, reference);
  const { colors, glyphs } = call.printer.style;
  const label =
    templateName === null || templateName === name
      ? colors.bold(oneLine(name))
      : `${colors.bold(oneLine(templateName))} (${oneLine(name)})`;
  const { nodes } = await client.environments.graph({ params: { ref: reference } });
  return {
    title: `${label} ${glyphs.dot} ${environmentStatusWord(status)}`,
    nodes: nodes.map((node) => ({
      ...node,
      drifted: node.drift === 'drifted',
      isWorkflow: node.type === 'workflow',
      expires: node.expiresAt === null ? null : formatRelative(node.expiresAt, call.io.now()),
    })),
  };
}
