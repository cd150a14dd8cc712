import { environmentStatusWord } from '../model/index.ts';
import type { EnvironmentStatus } from '../model/index.ts';
import { belowText, layoutNested } from './follow/tree.ts';
import type { Style } from './text/style.ts';
import { oneLine, padEnd, widthOf } from './text/width.ts';

export const graphFormats = ['text', 'dot', 'mermaid'] as const;
export type GraphFormat = (typeof graphFormats)[number];

export interface DrawnNode {
  readonly alias: string;
  /** Paths of the workflows that it is in, outermost first. */
  readonly within: readonly string[];
  /** It is a workflow: a box around its nodes. */
  readonly isWorkflow: boolean;
  readonly name: string;
  readonly needs: readonly string[];
  /** null in a file, which has no statuses. */
  readonly status: EnvironmentStatus | null;
  readonly disabled: boolean;
  readonly drifted: boolean;
  /** When it destroys itself, such as `in 2 h`; null for never. */
  readonly expires: string | null;
}

/** A tree; a node with several needs hangs under the one it waits for longest and names the others. */
export function drawText(nodes: readonly DrawnNode[], style: Style): string[] {
  const workflows = new Map(nodes.flatMap((node) => (node.isWorkflow ? [[node.alias, node] as const] : [])));
  const leaves = nodes.filter((node) => !node.isWorkflow || !nodes.some((other) => other.within.includes(node.alias)));
  const rows = layoutNested(leaves, (alias) => workflows.get(alias) ?? null, style.glyphs);
  const names = new Map(nodes.map((node) => [node.alias, oneLine(node.name)]));
  const titles = rows.map(
    ({ node, prefix, below }) =>
      `${prefix}${oneLine(node.name)}${node.alias === node.name ? '' : ` (${oneLine(node.alias)})`}${belowText(below)}`,
  );
  const width = Math.max(0, ...titles.map(widthOf));
  return rows.map(({ node }, index) => {
    const facts = [
      node.status === null ? '' : environmentStatusWord(node.status),
      node.disabled ? 'disabled' : '',
      node.drifted ? 'drifted' : '',
      node.expires === null ? '' : `ends ${node.expires}`,
      node.needs.length > 1
        ? `needs ${[...new Set(node.needs)].map((alias) => names.get(alias) ?? oneLine(alias)).join(', ')}`
        : '',
    ].filter(Boolean);
    return `${padEnd(titles[index] ?? '', width)}   ${facts.join(` ${style.glyphs.dot} `)}`.trimEnd();
  });
}

/** Graphviz. */
export function drawDot(nodes: readonly DrawnNode[]): string[] {
  const ids = idsOf(nodes);
  const quote = (text: string): string => `"${oneLine(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  return [
    'digraph windlass {',
    '  rankdir=LR;',
    '  node [shape=box, style=rounded];',
    ...boxed(
      nodes,
      (node) =>
        `${ids.get(node.alias) ?? ''} [label=${quote(labelOf(node))}${node.disabled ? ', style="rounded,dashed"' : ''}];`,
      {
        open: (group) => [`subgraph cluster_${ids.get(group.alias) ?? ''} {`, `  label=${quote(labelOf(group))};`],
        close: '}',
      },
    ),
    ...edgesOf(nodes, ids).map(([from, to]) => `  ${from} -> ${to};`),
    '}',
  ];
}

export function drawMermaid(nodes: readonly DrawnNode[]): string[] {
  const ids = idsOf(nodes);
  // Entities instead of the letters that end a label.
  const quote = (text: string): string =>
    `"${oneLine(text).replace(/[#"<>&`]/g, (letter) => `#${letter.codePointAt(0) ?? 0};`)}"`;
  return [
    'flowchart LR',
    ...boxed(nodes, (node) => `${ids.get(node.alias) ?? ''}[${quote(labelOf(node))}]`, {
      open: (group) => [`subgraph ${ids.get(group.alias) ?? ''}[${quote(labelOf(group))}]`],
      close: 'end',
    }),
    ...edgesOf(nodes, ids).map(([from, to]) => `  ${from} --> ${to}`),
  ];
}

/** Lines of all nodes, those of a workflow in a box of its own. */
function boxed(
  nodes: readonly DrawnNode[],
  line: (node: DrawnNode) => string,
  box: { readonly open: (group: DrawnNode) => readonly string[]; readonly close: string },
): string[] {
  const linesAt = (level: readonly string[]): string[] =>
    nodes
      .filter(({ within }) => within.length === level.length && within.every((path, index) => path === level[index]))
      .flatMap((node) => {
        const inner = [...level, node.alias];
        if (!nodes.some(({ within }) => within[level.length] === node.alias)) return [`  ${line(node)}`];
        return [...box.open(node), ...linesAt(inner), box.close].map((text) => `  ${text}`);
      });
  return linesAt([]);
}

function idsOf(nodes: readonly DrawnNode[]): Map<string, string> {
  return new Map(nodes.map((node, index) => [node.alias, `n${index}`]));
}

function labelOf(node: DrawnNode): string {
  return node.status === null ? node.name : `${node.name} · ${environmentStatusWord(node.status)}`;
}

/** From what is needed to what needs it: the way a deploy runs. */
function edgesOf(nodes: readonly DrawnNode[], ids: ReadonlyMap<string, string>): [string, string][] {
  return nodes.flatMap((node) =>
    [...new Set(node.needs)].flatMap((need): [string, string][] => {
      const from = ids.get(need);
      const to = ids.get(node.alias);
      return from && to ? [[from, to]] : [];
    }),
  );
}
