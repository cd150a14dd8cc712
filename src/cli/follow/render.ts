import { terminalNodeStatuses } from '../../model/index.ts';
import type { NodeRun } from '../../model/index.ts';
import { retryText, waitingTexts } from '../../definition/index.ts';
import { formatCounts, formatDuration, formatNumber, plural, shellQuote, someOf } from '../text/format.ts';
import type { Style } from '../text/style.ts';
import { oneLine, padEnd, padStart, truncate, truncateStyled, widthOf } from '../text/width.ts';
import { approvalLines } from './approval-text.ts';
import { belowText, layoutNested } from './tree.ts';
import type { RunView } from '../../view/index.ts';
import { groupRun, indexByAlias, waitsFor } from '../../view/index.ts';
import { glyphOf, isKept, paintNode, titleOf, wordOf } from './words.ts';

export interface RenderOptions {
  readonly nowMs: number;
  readonly width: number;
  /** Lines that may be used; undefined for as many as it takes. */
  readonly height: number | undefined;
  /** Counts up with every picture; turns the spinners. */
  readonly frame: number;
  readonly style: Style;
}

/** Name of the run's environment, or of one of its nodes, as commands take it. */
export function refOf(view: RunView, alias?: string): string {
  const name = view.deployment.environmentName;
  return shellQuote(alias === undefined || isSingle(view) ? name : `${name}/${alias}`);
}

/** The run of one stack, without a graph around it. */
export function isSingle(view: RunView): boolean {
  const [first] = view.nodes;
  return view.nodes.length === 1 && first?.environmentId === view.deployment.environmentId;
}

/** The picture of a run in progress: as many lines as fit, none longer than the terminal. */
export function renderLive(view: RunView, options: RenderOptions): string[] {
  const height = options.height === undefined ? Infinity : Math.max(4, options.height);
  const { progress } = view.deployment;
  const header = [
    renderHeader(view, options.style),
    ...(view.nodes.length === 0 && progress !== null ? [`  ${oneLine(progress)}`] : []),
  ];
  const footer = [...renderApprovals(view, options), renderProgress(view, options)];
  const room = height - header.length - footer.length;
  const lines = [...header, ...renderNodes(view, options, Math.max(1, room)), ...footer];
  return lines.slice(0, height === Infinity ? undefined : height).map((line) => truncateStyled(line, options.width));
}

/** The whole tree after the end; of a graph with hundreds of nodes only what did not go well. */
export function renderFinal(view: RunView, options: RenderOptions): string[] {
  return [renderHeader(view, options.style), ...renderNodes(view, options, finalRows)].map((line) =>
    truncateStyled(line, options.width),
  );
}
const finalRows = 60;

export function renderHeader(view: RunView, { colors, glyphs }: Style): string {
  const { deployment } = view;
  const selected = view.nodes.filter((node) => !node.compensation && !isKept(node)).length;
  const parts = [
    titleOf(deployment, colors.bold),
    ...(isSingle(view) || view.nodes.length === 0 ? [] : [plural(selected, 'sub-environment')]),
    `deployment ${deployment.number}`,
  ];
  return parts.join(` ${glyphs.dot} `);
}

interface Row {
  readonly node: NodeRun;
  readonly prefix: string;
  readonly below: NodeRun | null;
}

function renderNodes(view: RunView, options: RenderOptions, room: number): string[] {
  const main = view.nodes.filter((node) => !node.compensation);
  const undone = view.nodes.filter((node) => node.compensation);
  const { glyphs } = options.style;
  const headings = undone.length > 0 ? 1 : 0;
  const groups = new Set(view.nodes.flatMap(({ within }) => within)).size;
  const everything = main.length + undone.length + groups + headings <= room;
  if (everything) {
    return [
      ...renderRows(view, layoutNested(main, groupRun, glyphs), options),
      ...(undone.length > 0
        ? ['  Taking back', ...renderRows(view, layoutNested(undone, groupRun, glyphs), options)]
        : []),
    ];
  }
  const shown = [...view.nodes].sort((a, b) => urgency(a) - urgency(b)).slice(0, Math.max(0, room - 1));
  const urgent = shown.filter((node) => urgency(node) < settledUrgency);
  const chosen = new Set(urgent);
  const rest = view.nodes.filter((node) => !chosen.has(node));
  return [
    ...renderRows(
      view,
      urgent.map((node) => ({ node, prefix: '', below: null })),
      options,
    ),
    `  … and ${describeRest(rest)}`,
  ];
}

const settledUrgency = 5;

/** What people want to see when there is no room for all. */
function urgency(node: NodeRun): number {
  switch (node.status) {
    case 'waitingForApproval':
      return 0;
    case 'failed':
      return 1;
    case 'retrying':
      return 2;
    case 'running':
      return 3;
    case 'aborted':
      return 4;
    default:
      return settledUrgency;
  }
}

function describeRest(nodes: readonly NodeRun[]): string {
  const counts = new Map<string, number>();
  for (const node of nodes) {
    const word = wordOf(node);
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([word, count]) => `${formatNumber(count)} ${word}`);
  return `${formatNumber(nodes.length)} more: ${parts.join(', ')}`;
}

function renderRows(view: RunView, rows: readonly Row[], options: RenderOptions): string[] {
  const { colors, glyphs } = options.style;
  const titles = rows.map(({ node, below }) => `${oneLine(node.name)}${belowText(below)}`);
  // Lines of a deep graph must not take the names' place.
  const lines = Math.max(0, ...rows.map(({ prefix }) => widthOf(prefix)));
  const widest = Math.max(16, Math.floor(options.width * 0.45), Math.min(lines + 22, Math.floor(options.width * 0.6)));
  const nameWidth = Math.min(
    widest,
    Math.max(0, ...rows.map(({ prefix }, index) => widthOf(prefix) + 2 + widthOf(titles[index] ?? ''))),
  );
  const words = rows.map(({ node }) => wordOf(node));
  const wordWidth = Math.max(0, ...words.map(widthOf));
  const counts = rows.map(({ node }) => (node.status === 'pending' ? '' : formatCounts(node.counts)));
  const countsWidth = Math.max(0, ...counts.map(widthOf));
  const times = rows.map(({ node }) => elapsedOf(node, options.nowMs));
  const timeWidth = Math.max(0, ...times.map(widthOf));
  const aliases = new Map([false, true].map((compensation) => [compensation, indexByAlias(view, compensation)]));
  const places = waitingTexts(view.deployment, view.nodes);
  return rows.map(({ node, prefix }, index) => {
    const size = nameWidth - widthOf(prefix) - 2;
    const name = padEnd(truncate(titles[index] ?? '', size), size);
    const columns = [
      `${prefix}${paintNode(glyphOf(node, glyphs, options.frame), node, colors)} ${isKept(node) ? colors.dim(name) : name}`,
      paintNode(padEnd(words[index] ?? '', wordWidth), node, colors),
      ...(countsWidth > 0 ? [padEnd(counts[index] ?? '', countsWidth)] : []),
      ...(timeWidth > 0 ? [padStart(times[index] ?? '', timeWidth)] : []),
      (node.compensation ? undefined : places.get(node.index)) ??
        retryText(node) ??
        detailOf(view, node, aliases.get(node.compensation)),
    ];
    return `  ${columns.join('   ').trimEnd()}`;
  });
}

function elapsedOf(node: NodeRun, nowMs: number): string {
  if (node.startedAt === null || isKept(node) || node.status === 'pending' || node.status === 'skipped') return '';
  const end = node.finishedAt === null ? nowMs : Date.parse(node.finishedAt);
  return formatDuration(end - Date.parse(node.startedAt));
}

function detailOf(view: RunView, node: NodeRun, byAlias: Map<string, NodeRun> | undefined): string {
  switch (node.status) {
    case 'pending': {
      const names = waitsFor(view, node, byAlias);
      return names.length > 0 ? oneLine(`waits for ${someOf(names, 3)}`) : '';
    }
    case 'running': {
      const attempt = node.try > 1 ? `try ${node.try}` : '';
      return oneLine([node.progress ?? '', attempt].filter(Boolean).join(', '));
    }
    case 'waitingForApproval':
      return 'waits for a decision';
    case 'retrying':
    case 'failed':
    case 'cancelled':
    case 'aborted':
      return oneLine(node.error?.message ?? node.reason?.message ?? '');
    case 'skipped':
      return oneLine(node.reason?.message ?? '');
    case 'succeeded':
      return '';
    default:
      return '';
  }
}

/** One block for each decision that is waited for, with the commands that make it. */
export function renderApprovals(view: RunView, options: Pick<RenderOptions, 'nowMs' | 'width' | 'style'>): string[] {
  const waiting = view.nodes.filter((node) => node.status === 'waitingForApproval');
  const shown = waiting.slice(0, 3);
  const going = view.nodes.filter((node) => node.status === 'running' || node.status === 'retrying').length;
  const lines = shown.flatMap((node) => renderApproval(view, node, options));
  if (waiting.length > shown.length) {
    lines.push(
      `  … and ${formatNumber(waiting.length - shown.length)} more decisions: windlass approval list --deployment ${view.deployment.id}`,
    );
  }
  if (waiting.length > 0 && going > 0) lines.push(`  branches not waiting go on: ${going} running`);
  return lines;
}

function renderApproval(
  view: RunView,
  node: NodeRun,
  options: Pick<RenderOptions, 'nowMs' | 'width' | 'style'>,
): string[] {
  const approval = (node.approvalId === null ? undefined : view.approvals.get(node.approvalId)) ?? null;
  return approvalLines({ name: node.name, ref: refOf(view, node.alias), counts: node.counts, approval }, options);
}

/** The line that says how far the whole run is. */
export function renderProgress(view: RunView, { nowMs, frame, style }: RenderOptions): string {
  const { colors, glyphs } = style;
  const { deployment } = view;
  const dot = ` ${glyphs.dot} `;
  const spinner = glyphs.spinner[frame % glyphs.spinner.length] ?? '';
  if (view.connection === 'reconnecting') {
    return `${colors.yellow(spinner)} the connection to the server is lost, trying again${dot}the run goes on`;
  }
  if (deployment.status === 'queued') {
    const position = deployment.queuePosition;
    const place = position === null ? '' : position <= 1 ? ', next' : `, number ${formatNumber(position)} in line`;
    return `${glyphs.pending} queued${place}${dot}windlass cancel ${refOf(view)}`;
  }
  const nodes = view.nodes.filter((node) => !isKept(node));
  const count = (...statuses: readonly NodeRun['status'][]): number =>
    nodes.filter((node) => statuses.includes(node.status)).length;
  const over = count(...terminalNodeStatuses);
  const optional = (value: number, word: string): string[] => (value > 0 ? [`${formatNumber(value)} ${word}`] : []);
  const since = deployment.startedAt ?? deployment.queuedAt;
  return [
    `${colors.cyan(spinner)} ${formatNumber(over)} of ${formatNumber(nodes.length)} done`,
    ...optional(count('running', 'retrying'), 'running'),
    ...optional(count('waitingForApproval'), 'waiting for approval'),
    ...optional(count('failed'), 'failed'),
    ...optional(count('pending'), 'to come'),
    ...(deployment.status === 'stopping' ? ['stopping'] : []),
    ...(deployment.status === 'rollingBack' ? ['rolling back'] : []),
    ...(deployment.paused ? [`paused, go on with: windlass continue ${refOf(view)}`] : []),
    formatDuration(nowMs - Date.parse(since)),
  ].join(dot);
}
