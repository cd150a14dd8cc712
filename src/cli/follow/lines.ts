import { deploymentStatusWord } from '../../model/index.ts';
import { formatCounts, formatDuration, someOf } from '../text/format.ts';
import { oneLine } from '../text/width.ts';
import { refOf } from './render.ts';
import type { Change, RunView } from '../../view/index.ts';
import { titleOf, wordOf } from './words.ts';

/** In larger graphs only beginnings and endings are worth a line. */
const stagesUpTo = 40;

/** A change as one line for a log without a terminal; null when it is not worth one. */
export function lineOf(view: RunView, change: Change): string | null {
  const text = textOf(view, change);
  return text === null ? null : `${change.at.slice(0, 19)}Z  ${text}`;
}

function textOf(view: RunView, change: Change): string | null {
  switch (change.kind) {
    case 'deployment': {
      const { deployment } = view;
      const paused = deployment.paused ? ', paused' : '';
      return `deployment ${deployment.number} of ${oneLine(deployment.environmentName)}: ${deploymentStatusWord(deployment.status)}${paused}`;
    }
    case 'runProgress':
      return `deployment ${view.deployment.number} of ${oneLine(view.deployment.environmentName)}: ${oneLine(change.text)}`;
    case 'warning':
      return `warning: ${oneLine(change.message)}`;
    case 'approval':
      return null;
    case 'node':
      return nodeText(view, change);
    default:
      return null;
  }
}

function nodeText(view: RunView, change: Extract<Change, { kind: 'node' }>): string | null {
  const { node } = change;
  const name = `${oneLine(node.name)}${node.compensation ? ' (taking back)' : ''}`;
  if (change.what === 'progress') return null;
  if (change.what === 'stage') {
    // That a node prepares itself is what "started" says.
    const silent = view.nodes.length > stagesUpTo || node.status !== 'running' || node.stage === 'prepare';
    return silent ? null : `${name}: ${node.stage ?? ''}`;
  }
  const took =
    node.startedAt && node.finishedAt ? formatDuration(Date.parse(node.finishedAt) - Date.parse(node.startedAt)) : '';
  const facts = [formatCounts(node.counts), took].filter(Boolean).join('  ');
  switch (node.status) {
    case 'pending':
      return null;
    case 'running':
      return `${name}: started${node.try > 1 ? `, try ${node.try}` : ''}`;
    case 'waitingForApproval': {
      const ref = refOf(view, node.alias);
      return `${name}: needs approval  ${formatCounts(node.counts)}  windlass approve ${ref} | windlass reject ${ref}`;
    }
    case 'retrying':
      return `${name}: will be tried again  ${oneLine(node.error?.message ?? '')}`.trimEnd();
    case 'succeeded':
      return `${name}: ${wordOf(node)}  ${facts}`.trimEnd();
    case 'failed':
    case 'cancelled':
    case 'aborted': {
      const where = node.error?.where ? ` (${oneLine(node.error.where)})` : '';
      return `${name}: ${node.status}  ${oneLine(node.error?.message ?? '')}${where}`.trimEnd();
    }
    case 'skipped':
      return `${name}: ${wordOf(node)}  ${oneLine(node.reason?.message ?? '')}`.trimEnd();
    default:
      return null;
  }
}

/** The first lines, before anything has changed. */
export function openingLines(view: RunView, at: string): string[] {
  const names = view.nodes
    .filter((node) => !node.compensation && node.action !== 'keep')
    .map((node) => oneLine(node.name));
  const { deployment } = view;
  const what = names.length > 0 ? `: ${someOf(names, 12)}` : '';
  return [`${at.slice(0, 19)}Z  ${titleOf(deployment)}, deployment ${deployment.number}${what}`];
}
