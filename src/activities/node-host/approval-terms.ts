import { approvalSettingsWithin } from '../../definition/index.ts';
import type { ApprovalSettings } from '../../definition/index.ts';
import type { NodeBegin } from '../../model/index.ts';

/** What is set for the whole, for the workflows of the graph around the node, and for itself. */
export const settingsOf = ({ environment_settings, groups, entity_settings }: NodeBegin): ApprovalSettings =>
  approvalSettingsWithin(environment_settings, groups, entity_settings);

/** How many have to approve, for how long they are asked, and what; a node that is a decision says so itself. */
export function approvalTerms(
  begin: NodeBegin,
  because: string,
): { readonly required: number; readonly expiresInMs: number; readonly reason: string } {
  const settings = settingsOf(begin);
  const { message, required = 1, expiresSeconds } = begin.snapshot?.config.approval ?? {};
  return {
    required: Math.max(required, settings.requiredApprovals),
    expiresInMs: (expiresSeconds ?? settings.approvalExpirySeconds) * 1000,
    reason: message ?? because,
  };
}
