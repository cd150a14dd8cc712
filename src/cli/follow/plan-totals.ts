import type { ChangeCounts, NodeRun } from '../../model/index.ts';
import { describeCounts, formatCounts, plural } from '../text/format.ts';
import type { Style } from '../text/style.ts';
import { oneLine, padEnd, widthOf } from '../text/width.ts';

/** `Billing, which a deploy would destroy`. */
export function titleOfPlan({ name, removal, counts }: NodeRun): string {
  const what = counts === null ? '' : `   ${formatCounts(counts)}`;
  switch (removal) {
    case 'destroy':
      return `${oneLine(name)}, which a deploy would destroy${what}`;
    case 'detach':
      return `${oneLine(name)}, which a deploy would let go`;
    case null:
      return `${oneLine(name)}${what}`;
  }
}

const mostRows = 60;

/** What a plan comes to: each node's counts, what goes first, and the totals. */
export function renderPlanTotals(nodes: readonly NodeRun[], { colors, glyphs }: Style): string[] {
  const planned = nodes.filter((node) => !node.compensation && (node.action !== 'keep' || node.removal !== null));
  const idle = planned.filter((node) => node.counts !== null && !changes(node.counts));
  const rows = planned.filter((node) => !idle.includes(node));
  const shown = rows.slice(0, mostRows);
  const nameWidth = Math.max(0, ...shown.map(({ name }) => widthOf(oneLine(name))));
  const countsWidth = Math.max(0, ...shown.map(({ counts }) => widthOf(formatCounts(counts))));
  const lines = shown.map((node) => {
    const { name, removal, counts } = node;
    const text =
      `${padEnd(oneLine(name), nameWidth)}   ${padEnd(formatCounts(counts), countsWidth)}   ${noteOf(node)}`.trimEnd();
    if (removal === 'destroy') return `  ${colors.red(`${glyphs.failed} ${text}`)}`;
    return `  ${removal === 'detach' ? colors.yellow(`${glyphs.skipped} ${text}`) : `${glyphs.dot} ${text}`}`;
  });
  const total = planned.reduce<ChangeCounts>(
    (sum, { counts }) => ({
      add: sum.add + (counts?.add ?? 0),
      change: sum.change + (counts?.change ?? 0),
      destroy: sum.destroy + (counts?.destroy ?? 0),
    }),
    { add: 0, change: 0, destroy: 0 },
  );
  const gone = planned.filter(({ removal }) => removal === 'destroy').length;
  const detached = planned.filter(({ removal }) => removal === 'detach').length;
  const unknown = planned.filter((node) => node.counts === null && node.removal !== 'detach').length;
  const parts = [
    colors.bold(describeCounts(total)),
    ...(gone > 0 ? [colors.red(`${plural(gone, 'sub-environment')} would be destroyed`)] : []),
    ...(detached > 0 ? [`${plural(detached, 'sub-environment')} would be let go`] : []),
    ...(idle.length > 0 ? [`${plural(idle.length, 'other')} without changes`] : []),
    ...(unknown > 0 ? [`${unknown} not known yet`] : []),
  ];
  return [
    ...lines,
    ...(rows.length > shown.length ? [`  … and ${rows.length - shown.length} more`] : []),
    `  Total: ${parts.join(` ${glyphs.dot} `)}`,
  ];
}

const changes = ({ add, change, destroy }: ChangeCounts): boolean => add + change + destroy > 0;

function noteOf({ removal, reason, error, counts }: NodeRun): string {
  switch (removal) {
    case 'destroy':
      return `destroyed: no longer wanted${error ? `; ${oneLine(error.message)}` : ''}`;
    case 'detach':
      return 'let go: no longer in the file, its resources stay';
    case null:
      return counts === null ? oneLine(error?.message ?? reason?.message ?? '') : '';
  }
}
