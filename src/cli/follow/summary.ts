import type { DeploymentType, EnvironmentStatus, NodeRun } from '../../model/index.ts';
import {
  assertNever,
  deploymentStatusWord,
  environmentStatusWord,
  isReadOnly,
  isTerminalDeployment,
} from '../../model/index.ts';
import { driftLine } from '../text/drift.ts';
import { formatCounts, formatDuration, formatNumber, someOf } from '../text/format.ts';
import type { Style } from '../text/style.ts';
import { oneLine, padEnd, widthOf } from '../text/width.ts';
import { placeOf } from '../errors.ts';
import { renderPlanTotals } from './plan-totals.ts';
import { renderRepair } from './repair.ts';
import { isSingle, refOf } from './render.ts';
import type { RunView } from '../../view/index.ts';
import { capitalize, isKept, wordOf } from './words.ts';

/** What a run has come to: one line, then what failed and why, and the commands that come next. */
export function renderSummary(view: RunView, style: Style): string[] {
  return [
    summaryLine(view, style),
    ...renderFailures(view, style),
    ...renderDrift(view, style),
    ...(view.deployment.type === 'plan' && view.nodes.length > 0 && !isSingle(view)
      ? renderPlanTotals(view.nodes, style)
      : []),
    ...renderNext(view, style),
  ];
}

function summaryLine(view: RunView, { colors, glyphs }: Style): string {
  const { deployment } = view;
  const nodes = view.nodes.filter((node) => !isKept(node));
  const counts = new Map<string, number>();
  for (const node of nodes) {
    const word = countWordOf(node);
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const path = criticalPath(view.nodes);
  const good = deployment.status === 'succeeded';
  const unusual = unusualStatus(view);
  const open = !isTerminalDeployment(deployment.status);
  const parts = [
    outcomeWord(view),
    ...(isSingle(view)
      ? [formatCounts(nodes[0]?.counts ?? null)].filter(Boolean)
      : [...counts].map(([word, count]) => `${formatNumber(count)} ${word}`)),
    ...(view.drift.length > 0 ? [colors.yellow(`${formatNumber(view.drift.length)} drifted`)] : []),
    ...(deployment.startedAt && deployment.finishedAt
      ? [formatDuration(Date.parse(deployment.finishedAt) - Date.parse(deployment.startedAt))]
      : []),
    ...(unusual === null ? [] : [`environment ${environmentStatusWord(unusual)}`]),
    ...(good && path.length > 1 ? [`longest path ${shorten(path).join(` ${glyphs.arrow} `)}`] : []),
  ];
  const [outcome = '', ...rest] = parts;
  const paint = good ? colors.green : open ? colors.yellow : colors.red;
  const stopped = deployment.status === 'cancelled' || deployment.status === 'aborted';
  const glyph = good ? glyphs.done : open ? glyphs.approval : stopped ? glyphs.stopped : glyphs.failed;
  const head = paint(`${glyph} ${colors.bold(outcome)}`);
  return [head, ...rest].join(` ${glyphs.dot} `);
}

function countWordOf(node: NodeRun): string {
  if (node.status === 'waitingForApproval') return 'waiting for approval';
  return node.status === 'pending' ? 'not run' : wordOf(node);
}

function outcomeWord(view: RunView): string {
  const { deployment, environmentStatus } = view;
  if (deployment.status === 'running' && view.nodes.some(({ status }) => status === 'waitingForApproval'))
    return 'Waiting';
  if (deployment.status !== 'succeeded') return capitalize(deploymentStatusWord(deployment.status));
  switch (deployment.type) {
    case 'plan':
      return 'Planned';
    case 'drift':
      return 'Checked';
    case 'rollback':
      return 'Rolled back';
    case 'deploy':
    case 'destroy':
      if (unusualStatus(view) !== null) return 'Succeeded';
      return capitalize(
        environmentStatusWord(
          environmentStatus === null || environmentStatus.endsWith('InProgress')
            ? usual(deployment.type)
            : environmentStatus,
        ),
      );
    default:
      return assertNever(deployment.type, 'deployment type');
  }
}

/** What the environment is when the run went well and did not make it whole or gone, such as a run of one node. */
function unusualStatus({ deployment, environmentStatus }: RunView): EnvironmentStatus | null {
  if (deployment.status !== 'succeeded' || isReadOnly(deployment.type)) return null;
  if (environmentStatus === null || environmentStatus.endsWith('InProgress')) return null;
  // Destroying one node is a deploy that keeps the rest.
  const expected = [usual(deployment.type), ...(deployment.type === 'deploy' ? ['inactive'] : [])];
  return expected.includes(environmentStatus) ? null : environmentStatus;
}

function usual(type: DeploymentType): 'active' | 'inactive' {
  return type === 'destroy' ? 'inactive' : 'active';
}

/** Names along the chain that decided how long the run took: from the last end back over the needs that ended last. */
export function criticalPath(nodes: readonly NodeRun[]): string[] {
  const ran = nodes.filter((node) => !node.compensation && node.startedAt !== null && node.finishedAt !== null);
  const byAlias = new Map(ran.map((node) => [node.alias, node]));
  const endOf = (node: NodeRun): number => Date.parse(node.finishedAt ?? '');
  const latest = (candidates: readonly NodeRun[]): NodeRun | undefined =>
    candidates.reduce<NodeRun | undefined>(
      (best, node) => (best === undefined || endOf(node) > endOf(best) ? node : best),
      undefined,
    );
  const path: string[] = [];
  const seen = new Set<string>();
  let next = latest(ran);
  while (next !== undefined && !seen.has(next.alias)) {
    seen.add(next.alias);
    path.unshift(oneLine(next.name));
    next = latest(next.needs.flatMap((alias) => byAlias.get(alias) ?? []));
  }
  return path;
}

function shorten(path: readonly string[]): string[] {
  return path.length <= 5 ? [...path] : [...path.slice(0, 2), '…', ...path.slice(-2)];
}

const shownFailures = 10;

function renderFailures(view: RunView, { colors, glyphs }: Style): string[] {
  const { deployment } = view;
  const lines: string[] = [];
  if (deployment.error) {
    lines.push(`  ${oneLine(deployment.error.message)}`);
    for (const problem of deployment.error.problems ?? []) {
      const place = placeOf(problem);
      // The only problem, without a place, is the message itself.
      if (!place && deployment.error.message.includes(problem.message)) continue;
      lines.push(`    ${oneLine(place ? `${place}  ${problem.message}` : problem.message)}`);
    }
    if (deployment.error.hint) lines.push(`    ${oneLine(deployment.error.hint)}`);
  }
  const failed = view.nodes.filter(
    (node) => (node.status === 'failed' || node.status === 'aborted') && node.error !== null,
  );
  const nameWidth = Math.max(0, ...failed.slice(0, shownFailures).map((node) => widthOf(oneLine(node.name))));
  for (const node of failed.slice(0, shownFailures))
    lines.push(...renderFailure(view, node, { nameWidth, colors, glyphs }));
  if (failed.length > shownFailures) {
    lines.push(
      `  … and ${formatNumber(failed.length - shownFailures)} more: windlass deployment show ${deployment.id}`,
    );
  }
  lines.push(...renderSkipped(view, { colors, glyphs }));
  return lines;
}

function renderFailure(view: RunView, node: NodeRun, options: Style & { readonly nameWidth: number }): string[] {
  const { colors, glyphs, nameWidth } = options;
  const stage = node.stage ?? '';
  const error = node.error;
  const indent = ' '.repeat(4 + nameWidth);
  const dot = ` ${glyphs.dot} `;
  const log = `log: windlass logs ${refOf(view, node.alias)}${stage ? ` --stage ${stage}` : ''}`;
  return [
    `  ${colors.red(glyphs.failed)} ${padEnd(oneLine(node.name), nameWidth)}   ${stage ? `${stage}   ` : ''}${oneLine(error?.message ?? '')}`,
    `${indent}   ${[...(error?.where ? [oneLine(error.where)] : []), ...(error ? [`class: ${error.class}`] : []), log].join(dot)}`,
    ...(error?.hint ? [`${indent}   ${oneLine(error.hint)}`] : []),
  ];
}

/** Skipped nodes, grouped by the reason they share. */
function renderSkipped(view: RunView, { glyphs }: Style): string[] {
  const groups = new Map<string, string[]>();
  for (const node of view.nodes) {
    if (node.status !== 'skipped' || isKept(node)) continue;
    const reason = oneLine(node.reason?.message ?? 'skipped');
    groups.set(reason, [...(groups.get(reason) ?? []), oneLine(node.name)]);
  }
  return [...groups]
    .slice(0, shownFailures)
    .map(([reason, names]) => `  ${glyphs.skipped} ${someOf(names, 5)}   ${reason}`);
}

/** The first of what is not as it was deployed, node after node. */
function renderDrift(view: RunView, { colors }: Style): string[] {
  const names = new Map(view.nodes.map((node) => [node.alias, oneLine(node.name)]));
  const found = view.drift.slice(0, shownFailures).map(({ alias, resources }) => {
    const name = names.get(alias ?? '') ?? oneLine(view.deployment.environmentName);
    return { name, what: someOf(resources.map(driftLine), 3) || 'the tool does not say what' };
  });
  const width = Math.max(0, ...found.map(({ name }) => widthOf(name)));
  return found.map(({ name, what }) => `  ${colors.yellow(padEnd(name, width))}   ${what}`);
}

function renderNext(view: RunView, { glyphs }: Style): string[] {
  const { deployment } = view;
  const ref = refOf(view);
  const dot = ` ${glyphs.dot} `;
  const next = (...commands: readonly string[]): string[] => ['', `Next:  ${commands.join(dot)}`];
  switch (deployment.status) {
    case 'succeeded':
      if (deployment.type === 'deploy' || deployment.type === 'rollback') {
        return next(`windlass status ${ref}`, `windlass logs ${ref}`, `windlass destroy ${ref}`);
      }
      if (deployment.type === 'plan') return next(`windlass plan show ${ref}`, applyCommand(view));
      if (deployment.type === 'drift') return next(`windlass drift show ${ref}`, `windlass deploy ${ref}`);
      return next(`windlass deploy ${ref}`, `windlass environment delete ${ref}`);
    case 'failed':
    case 'rollbackFailed':
    case 'aborted':
    case 'cancelled':
      return isReadOnly(deployment.type) ? [] : renderRepair(view);
    case 'rolledBack':
      return next(`windlass status ${ref}`, `windlass deploy ${ref}`);
    case 'queued':
    case 'running':
    case 'stopping':
    case 'rollingBack':
      return next(`windlass logs -f ${ref}`, `windlass cancel ${ref}`);
    default:
      return assertNever(deployment.status, 'deployment status');
  }
}

/** What does what was planned. */
function applyCommand(view: RunView): string {
  const { partial, rollbackTo } = view.deployment.request;
  if (rollbackTo === undefined) return `windlass deploy ${refOf(view, partial?.node)}`;
  return `windlass rollback ${refOf(view)} --to ${rollbackTo}`;
}
