import type { Deployment, Environment, EnvironmentStatus, EnvironmentStatusReport, NodeState } from '../model/index.ts';
import { assertNever, deploymentStatusWord, environmentStatusWord } from '../model/index.ts';
import { approvalLines } from './follow/approval-text.ts';
import { belowText, layoutNested } from './follow/tree.ts';
import { glyphOf, kindOf, paintNode, wordOf } from './follow/words.ts';
import { groupRun } from '../view/index.ts';
import { describeCounts, formatDuration, formatRelative, plural, shellQuote, someOf } from './text/format.ts';
import type { Colors, Glyphs, Style } from './text/style.ts';
import { renderFields } from './text/table.ts';
import { oneLine, padEnd, truncateStyled, widthOf, wrap } from './text/width.ts';

export interface StatusOptions {
  readonly nowMs: number;
  readonly width: number;
  readonly style: Style;
}

type Last = NonNullable<NodeState['last']>;

/** How an environment is: its runs, its nodes with their last results, what failed and why, and who has to decide what. */
export function renderStatus(report: EnvironmentStatusReport, options: StatusOptions): string[] {
  const { environment } = report;
  const whole = environment.type === 'workflow';
  const blocks = [
    [
      titleOf(report, options.style),
      ...renderFields([...runFields(report, options), ...stateFields(environment, options.nowMs)], options.width),
      ...(whole ? [] : report.nodes.map((node) => `now  ${wordsOf(report, node, options.nowMs).join('  ')}`)),
    ],
    whole ? renderNodes(report, options) : [],
    renderFailures(report, options),
    renderHeld(report, options),
    renderApprovals(report, options),
  ];
  return blocks.filter((block) => block.length > 0).flatMap((block, index) => (index === 0 ? block : ['', ...block]));
}

function titleOf({ environment, path }: EnvironmentStatusReport, { colors, glyphs }: Style): string {
  const { flags, templateName, name } = environment;
  const marks = [
    flags.waitingForApproval > 0 ? 'waits for approval' : '',
    flags.queued > 0 ? `${flags.queued} queued` : '',
    flags.drift === 'drifted' ? 'drifted' : '',
    flags.lock ? 'locked' : '',
    flags.stateUnverified ? 'state unverified' : '',
    flags.detached ? 'detached' : '',
    flags.archived ? 'archived' : '',
  ].filter(Boolean);
  const template = templateName === null || templateName === name ? '' : ` (${oneLine(templateName)})`;
  const status = paintStatus(environmentStatusWord(environment.status), environment.status, colors);
  return [`${colors.bold(oneLine(path))}${template}`, status, ...marks.map((mark) => colors.yellow(mark))].join(
    ` ${glyphs.dot} `,
  );
}

type Fields = [string, string | null][];

function runFields(report: EnvironmentStatusReport, { nowMs }: StatusOptions): Fields {
  const { current, last, queued, reading, lastPlan, lastDriftCheck, environment } = report;
  const more = environment.flags.queued - queued.length;
  return [
    ...(current ? [['running', describeOpen(current, nowMs)] satisfies Fields[number]] : []),
    ...queued.map((run): Fields[number] => ['queued', `${nameOf(run)}, ${byWhom(run)}`]),
    ['queued', more > 0 && queued.length > 0 ? `… and ${plural(more, 'run')} more` : null],
    ['last run', last ? describeOver(last, nowMs) : 'never run'],
    ...reading.map((run): Fields[number] => [kindOf(run), describeOpen(run, nowMs)]),
    ['last plan', lastPlan ? describeOver(lastPlan, nowMs) : null],
    ['last check', lastDriftCheck ? describeOver(lastDriftCheck, nowMs) : null],
  ];
}

function nameOf(run: Deployment): string {
  return `deployment ${run.number}, ${kindOf(run)}`;
}

function byWhom({ requestedBy, trigger }: Deployment): string {
  const by = `by ${oneLine(requestedBy)}`;
  return trigger === 'user' || trigger === 'api' ? by : `${by} (${trigger})`;
}

function describeOpen(run: Deployment, nowMs: number): string {
  const { counts } = run;
  const over = counts.succeeded + counts.failed + counts.cancelled + counts.skipped;
  const name = shellQuote(run.environmentName);
  return [
    `${nameOf(run)}: ${run.status === 'running' ? '' : `${deploymentStatusWord(run.status)}, `}${formatDuration(nowMs - Date.parse(run.startedAt ?? run.queuedAt))}`,
    ...(counts.total > 0 ? [`${over} of ${counts.total} done`] : []),
    ...(run.paused ? [`paused (go on: windlass continue ${name})`] : []),
    byWhom(run),
  ].join(', ');
}

function describeOver(run: Deployment, nowMs: number): string {
  const took =
    run.startedAt && run.finishedAt
      ? ` after ${formatDuration(Date.parse(run.finishedAt) - Date.parse(run.startedAt))}`
      : '';
  const { counts } = run;
  const facts = [
    counts.failed > 0 ? `${counts.failed} failed` : '',
    counts.skipped > 0 ? `${counts.skipped} skipped` : '',
    counts.cancelled > 0 ? `${counts.cancelled} stopped` : '',
  ].filter(Boolean);
  return [
    `${nameOf(run)}: ${deploymentStatusWord(run.status)} ${formatRelative(run.finishedAt, nowMs)}${took}`,
    ...facts,
    byWhom(run),
  ].join(', ');
}

/** What is shown beside the status of an environment, whatever its runs do. */
export function stateFields({ flags, settings, expiresAt }: Environment, nowMs: number): Fields {
  const { lock, stateUnverified } = flags;
  const schedule = settings.schedule;
  const paused = schedule?.paused ? ', paused' : '';
  return [
    ['locked', lock ? `by ${lock.by}, ${formatRelative(lock.at, nowMs)}: ${lock.reason}` : null],
    [
      'state',
      stateUnverified
        ? `not verified since ${formatRelative(stateUnverified.since, nowMs)}: ${stateUnverified.reason}`
        : null,
    ],
    [
      'drift',
      flags.drift === 'neverRun'
        ? null
        : `${flags.drift}${flags.driftCheckedAt ? `, checked ${formatRelative(flags.driftCheckedAt, nowMs)}` : ''}`,
    ],
    ['ends', expiresAt ? formatRelative(expiresAt, nowMs) : null],
    ['deploys at', schedule?.deploy ? `${schedule.deploy} ${schedule.timezone}${paused}` : null],
    ['destroys at', schedule?.destroy ? `${schedule.destroy} ${schedule.timezone}${paused}` : null],
  ];
}

/** The node's part in the run that goes on; null when it has none, or has ended it. */
function openPart({ current }: EnvironmentStatusReport, { last }: NodeState): Last | null {
  if (last === null || last.deploymentId !== current?.id) return null;
  return last.finishedAt === null && last.status !== 'skipped' ? last : null;
}

function renderNodes(report: EnvironmentStatusReport, { nowMs, width, style }: StatusOptions): string[] {
  const { colors, glyphs } = style;
  const rows = layoutNested(leavesOf(report), (alias, members) => workflowState(report, alias, members), glyphs);
  const full = rows.map(({ node, prefix, below }) => {
    const alias = node.alias === node.name ? '' : ` (${oneLine(node.alias)})`;
    return `${prefix}${'  '}${oneLine(node.name)}${alias}${belowText(below)}`;
  });
  // Where there is no room for both, the alias says more: it is what commands take.
  const roomy = Math.max(0, ...full.map(widthOf)) <= width * 0.45;
  const titles = rows.map(({ node, below, prefix }, index) =>
    roomy ? (full[index] ?? '').slice(prefix.length + 2) : `${oneLine(node.alias)}${belowText(below)}`,
  );
  const widths = rows.map(({ prefix }, index) => widthOf(prefix) + widthOf(titles[index] ?? ''));
  const nameWidth = Math.max(0, ...widths);
  const words = rows.map(({ node }) => wordsOf(report, node, nowMs));
  const wordWidth = Math.max(0, ...words.map(([word]) => widthOf(word)));
  return rows.map(({ node, prefix }, index) => {
    const [word, detail] = words[index] ?? ['', ''];
    const pad = ' '.repeat(nameWidth - (widths[index] ?? 0));
    const glyph = paint(report, node, glyphFor(report, node, glyphs), colors);
    const line = `  ${prefix}${glyph} ${titles[index] ?? ''}${pad}   ${paint(report, node, padEnd(word, wordWidth), colors)}   ${detail}`;
    return truncateStyled(line.trimEnd(), width);
  });
}

/** Nodes that are no workflows; those are made of others. */
function leavesOf({ nodes }: EnvironmentStatusReport): NodeState[] {
  const around = new Set(nodes.flatMap(({ within }) => within));
  return nodes.filter(({ alias }) => !around.has(alias));
}

/** A workflow of the graph, with its nodes' part in the run that goes on as its own. */
function workflowState(
  report: EnvironmentStatusReport,
  alias: string,
  members: readonly NodeState[],
): NodeState | null {
  const state = report.nodes.find((node) => node.alias === alias);
  if (state === undefined) return null;
  const current = members.flatMap(({ within, last }) =>
    last !== null && last.deploymentId === report.current?.id ? [{ ...last, within, needs: [] }] : [],
  );
  const [first] = current;
  const run = groupRun(alias, current);
  if (first === undefined || run === null) return state;
  const { deploymentId, deploymentNumber, deploymentType } = first;
  return { ...state, last: { ...run, deploymentId, deploymentNumber, deploymentType } };
}

function glyphFor(report: EnvironmentStatusReport, node: NodeState, glyphs: Glyphs): string {
  const open = openPart(report, node);
  if (open) return glyphOf(open, glyphs, 0);
  if (node.last?.status === 'skipped' && node.status !== 'active') return glyphs.skipped;
  switch (node.status) {
    case 'active':
      return glyphs.done;
    case 'failed':
      return glyphs.failed;
    case 'deployInProgress':
    case 'destroyInProgress':
      return glyphs.retrying;
    case 'neverDeployed':
    case 'partlyDeployed':
    case 'inactive':
      return glyphs.pending;
    default:
      return assertNever(node.status, 'environment status');
  }
}

function paint(report: EnvironmentStatusReport, node: NodeState, text: string, colors: Colors): string {
  const open = openPart(report, node);
  return open ? paintNode(text, open, colors) : paintStatus(text, node.status, colors);
}

function paintStatus(text: string, status: EnvironmentStatus, colors: Colors): string {
  switch (status) {
    case 'active':
      return colors.green(text);
    case 'failed':
      return colors.red(text);
    case 'deployInProgress':
    case 'destroyInProgress':
      return colors.cyan(text);
    case 'partlyDeployed':
      return colors.yellow(text);
    case 'neverDeployed':
    case 'inactive':
      return colors.dim(text);
    default:
      return assertNever(status, 'environment status');
  }
}

/** How a node is, and what has made it so. */
function wordsOf(report: EnvironmentStatusReport, node: NodeState, nowMs: number): [word: string, detail: string] {
  const marks = [
    node.stateUnverified ? 'state unverified' : '',
    node.drift === 'drifted' ? 'drifted' : '',
    node.disabled ? 'disabled' : '',
    node.expiresAt === null ? '' : expiryMark(node.expiresAt, nowMs),
  ];
  const open = openPart(report, node);
  const word = open ? wordOf(open) : environmentStatusWord(node.status);
  const result = node.last === null ? '' : resultOf(report, node, node.last, nowMs);
  return [word, [...marks, result, partsOf(report, node)].filter(Boolean).join(', ')];
}

/** How many nodes of a workflow are deployed. */
function partsOf(report: EnvironmentStatusReport, { alias, type }: NodeState): string {
  if (type !== 'workflow') return '';
  const members = leavesOf(report).filter(({ within }) => within.includes(alias));
  if (members.length === 0) return '';
  const active = members.filter(({ status }) => status === 'active').length;
  return `${active} of ${members.length} active`;
}

function expiryMark(expiresAt: string, nowMs: number): string {
  return `${Date.parse(expiresAt) > nowMs ? 'ends' : 'expired'} ${formatRelative(expiresAt, nowMs)}`;
}

function resultOf(report: EnvironmentStatusReport, node: NodeState, last: Last, nowMs: number): string {
  const ago = formatRelative(last.finishedAt, nowMs);
  switch (last.status) {
    case 'pending':
      return openPart(report, node) ? (last.waitsFor ?? waitsFor(report, node)) : '';
    case 'running':
    case 'retrying': {
      const since = (last.stage === null ? undefined : last.stageTimes[last.stage]?.startedAt) ?? last.startedAt;
      const elapsed = since === null ? '' : formatDuration(nowMs - Date.parse(since));
      const why =
        last.status === 'retrying' ? (last.waitsFor ?? last.error?.message ?? last.reason?.message ?? '') : '';
      return oneLine(
        [elapsed, last.progress ?? '', last.try > 1 ? `try ${last.try}` : '', why].filter(Boolean).join(', '),
      );
    }
    case 'waitingForApproval':
      return [last.waitsFor ?? '', last.counts ? describeCounts(last.counts) : ''].filter(Boolean).join(', ');
    case 'paused':
    case 'failed':
    case 'aborted':
    case 'cancelled': {
      const verb = last.status === 'failed' || last.status === 'paused' ? '' : `${last.status} `;
      const message = last.error?.message ?? last.reason?.message ?? '';
      return oneLine(`${verb}${last.stage ?? ''}: ${message}`.replace(/^: |: $/, ''));
    }
    case 'skipped':
      return oneLine(`skipped${last.reason ? `: ${last.reason.message}` : ''}`);
    case 'succeeded':
      return `${wordOf(last)} ${ago}`;
    default:
      return assertNever(last.status, 'node status');
  }
}

/** Names of what a node of the running graph still waits for. */
function waitsFor(report: EnvironmentStatusReport, node: NodeState): string {
  const open = report.nodes.filter((other) => node.needs.includes(other.alias) && openPart(report, other));
  return open.length > 0
    ? `waits for ${someOf(
        open.map(({ name }) => oneLine(name)),
        3,
      )}`
    : '';
}

/** Name of the environment whose graph it is: the aliases of nodes are paths from there. */
function rootOf({ environment, path }: EnvironmentStatusReport): string {
  return environment.alias === null ? path : path.slice(0, path.length - environment.alias.length - 1);
}

const shownFailures = 10;

/** Why the nodes failed that did, whole: in the row of a node there is little room. */
function renderFailures(report: EnvironmentStatusReport, { width, style }: StatusOptions): string[] {
  const { colors, glyphs } = style;
  const whole = report.environment.type === 'workflow';
  const failed = report.nodes.filter(({ last }) => last?.status === 'failed' || last?.status === 'paused');
  const lines = failed.slice(0, shownFailures).flatMap((node) => {
    const { last } = node;
    if (!last?.error) return [];
    const path = shellQuote(whole ? `${rootOf(report)}/${node.alias}` : report.path);
    const stage = last.stage === null ? '' : ` --stage ${last.stage}`;
    const place = last.error.where ? `${oneLine(last.error.where)} ${glyphs.dot} ` : '';
    const message = oneLine(`${node.name}: ${last.stage === null ? '' : `${last.stage}: `}${last.error.message}`);
    const [first = '', ...rest] = wrap(message, Math.max(20, width - 2));
    return [
      `${colors.red(glyphs.failed)} ${first}`,
      ...rest.map((line) => `  ${line}`),
      `  ${place}windlass logs ${path}${stage}${last.deploymentId === report.last?.id ? '' : ` --deployment ${last.deploymentNumber}`}`,
    ];
  });
  const runError = report.current === null ? report.last?.error : null;
  const ofRun = runError && lines.length === 0 ? [`${colors.red(glyphs.failed)} ${oneLine(runError.message)}`] : [];
  const more = failed.length - shownFailures;
  return [...ofRun, ...lines, ...(more > 0 ? [`  … and ${plural(more, 'failure')} more: --json`] : [])];
}

/** Nodes whose end is due and that are still there, with what to do about it. */
function renderHeld(report: EnvironmentStatusReport, { width, style }: StatusOptions): string[] {
  const held = report.nodes.flatMap(({ expiryHeld }) => expiryHeld ?? []);
  return held.slice(0, shownFailures).flatMap((message) => {
    const [first = '', ...rest] = wrap(oneLine(message), Math.max(20, width - 2));
    return [`${style.colors.yellow('!')} ${first}`, ...rest.map((line) => `  ${line}`)];
  });
}

const shownApprovals = 5;

function renderApprovals(report: EnvironmentStatusReport, options: StatusOptions): string[] {
  const names = new Map(report.nodes.map((node) => [node.alias, node.name]));
  const lines = report.approvals.slice(0, shownApprovals).flatMap((approval) => {
    const name = names.get(approval.alias) ?? approval.path;
    return approvalLines({ name, ref: shellQuote(approval.path), counts: approval.counts, approval }, options);
  });
  const more = report.approvals.length - shownApprovals;
  return more > 0
    ? [...lines, `  … and ${plural(more, 'decision')} more: windlass approval list --environment ${report.path}`]
    : lines;
}
