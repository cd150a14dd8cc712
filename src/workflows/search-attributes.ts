import type { TypedSearchAttributes } from '@temporalio/common';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { patched, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { searchAttributes } from '../model/orchestration.ts';
import type { WorkflowKind } from '../model/orchestration.ts';

const kindKey = defineSearchAttributeKey(searchAttributes.kind, SearchAttributeType.KEYWORD);
const statusKey = defineSearchAttributeKey(searchAttributes.status, SearchAttributeType.KEYWORD);

/** What a child is found by: the environment and project of its parent, a kind of its own, and that it has begun. */
export function attributesOfChild(kind: WorkflowKind): TypedSearchAttributes {
  return workflowInfo().typedSearchAttributes.updateCopy([
    { key: kindKey, value: kind },
    { key: statusKey, value: 'running' },
  ]);
}

/** Says in the lists of Temporal how far this workflow is, without a look at what it says already. */
export function upsertStatus(status: string): void {
  upsertSearchAttributes([{ key: statusKey, value: status }]);
}

/** The same when it is something new, which histories of older versions know nothing of. */
export function showStatus(status: string): void {
  // Asked before the patch, which is an event by itself.
  if (workflowInfo().typedSearchAttributes.get(statusKey) === status) return;
  if (patched('status-attribute')) upsertStatus(status);
}
