import type { Approval, ChangeCounts } from '../../model/index.ts';
import { describeCounts, formatDuration, someOf } from '../text/format.ts';
import type { Style } from '../text/style.ts';
import { joinWithin, oneLine } from '../text/width.ts';

export interface WaitingNode {
  readonly name: string;
  /** As commands take it, quoted for a shell. */
  readonly ref: string;
  readonly counts: ChangeCounts | null;
  /** null while only the node is known to wait. */
  readonly approval: Approval | null;
}

/** What is to be decided, the commands that decide it, and under which terms. */
export function approvalLines(
  { name, ref, counts, approval }: WaitingNode,
  { nowMs, width, style }: { readonly nowMs: number; readonly width: number; readonly style: Style },
): string[] {
  const { colors, glyphs } = style;
  const dot = ` ${glyphs.dot} `;
  const gate = approval?.about === 'gate';
  const changes = gate ? null : (approval?.counts ?? counts);
  const gone = (approval?.resources ?? [])
    .filter(({ action }) => action === 'delete' || action === 'replace')
    .map(({ address }) => oneLine(address));
  const asked = gate ? `: ${oneLine(approval.reason)}` : '';
  const what = changes ? `: ${describeCounts(changes)}${gone.length > 0 ? ` (${someOf(gone, 3)})` : ''}` : asked;
  const look = gate ? [] : [`windlass plan show ${ref}`];
  const commands = [...look, `windlass approve ${ref} --comment "…"`, `windlass reject ${ref}`];
  return [
    `${colors.yellow(glyphs.approval)} ${colors.yellow(`${oneLine(name)} needs approval`)}${what}`,
    ...[commands, approval ? termsOf(approval, nowMs) : []].flatMap((parts) =>
      joinWithin(parts, dot, width - 2).map((line) => `  ${line}`),
    ),
  ];
}

/** Until when, how many people, and who may not. */
function termsOf(approval: Approval, nowMs: number): string[] {
  const given = approval.decisions.filter(({ decision }) => decision === 'approve').length;
  const asker = oneLine(approval.requestedBy);
  return [
    `expires in ${formatDuration(Date.parse(approval.expiresAt) - nowMs)}`,
    `asked for by ${asker}${approval.forbidRequester ? ', who may not approve it' : ''}`,
    ...(approval.required > 1 ? [`${given} of ${approval.required} approvals given`] : []),
    ...(approval.reason && approval.about === 'plan' ? [oneLine(approval.reason)] : []),
  ];
}
