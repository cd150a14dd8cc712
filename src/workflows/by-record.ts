import { patched } from '@temporalio/workflow';

/**
 * Messages are hints: what they speak of is looked up in the records before anything is done about it. False while a history
 * of a version is replayed that took them at their word; see docs/versioning.md.
 */
export function actsByRecord(): boolean {
  return patched('messages-are-hints');
}
