/**
 * The statuses that things pass through: their lists, which of them belong together, and their words for people. SQL and
 * screens are built from these lists. Bundled into the workflow sandbox: no zod here.
 */

/**
 * `cancelled`, `aborted` and `rolledBack` are the endings of the three stopping verbs;
 * `rollbackFailed` is a rollback that could not undo everything.
 */
export const deploymentStatuses = [
  'queued',
  'running',
  'stopping',
  'rollingBack',
  'succeeded',
  'failed',
  'cancelled',
  'aborted',
  'rolledBack',
  'rollbackFailed',
] as const;
export type DeploymentStatus = (typeof deploymentStatuses)[number];

/** It has left the queue and is not over. */
export const activeDeploymentStatuses = ['running', 'stopping', 'rollingBack'] as const;

export const terminalDeploymentStatuses = deploymentStatuses.filter(
  (status) => status !== 'queued' && !includes(activeDeploymentStatuses, status),
);

export function isTerminalDeployment(status: DeploymentStatus): boolean {
  return includes(terminalDeploymentStatuses, status);
}

/** Runs of these types change nothing. */
export const readOnlyTypes = ['plan', 'drift'] as const;

/** Whether a run, or what is done to a node, changes nothing. */
export function isReadOnly(what: string): what is (typeof readOnlyTypes)[number] {
  return includes(readOnlyTypes, what);
}

export const nodeStatuses = [
  'pending',
  'running',
  'waitingForApproval',
  'retrying',
  // Waits for somebody to mend something, such as expired credentials, and to say retry.
  'paused',
  'succeeded',
  'failed',
  'skipped',
  'cancelled',
  'aborted',
] as const;
export type NodeStatus = (typeof nodeStatuses)[number];

/** It has begun and is not over. */
export const activeNodeStatuses = ['running', 'waitingForApproval', 'retrying', 'paused'] as const;

export const terminalNodeStatuses = nodeStatuses.filter(
  (status) => status !== 'pending' && !includes(activeNodeStatuses, status),
);

export function isTerminalNode(status: NodeStatus): boolean {
  return includes(terminalNodeStatuses, status);
}

/** What needs the node may go on. */
export const passedNodeStatuses = ['succeeded', 'skipped'] as const;

/** Whether what needs a node may go on, as far as the node is concerned. */
export function isPassed(status: NodeStatus): boolean {
  return includes(passedNodeStatuses, status);
}

/** Waiting for approval, queued, drifted, locked and state-unverified are shown beside the status, not instead of it. */
export const environmentStatuses = [
  'neverDeployed',
  'deployInProgress',
  'destroyInProgress',
  'active',
  /** Some nodes are deployed, others are not, and none failed. */
  'partlyDeployed',
  'inactive',
  'failed',
] as const;
export type EnvironmentStatus = (typeof environmentStatuses)[number];

export const environmentStatusesInProgress = ['deployInProgress', 'destroyInProgress'] as const;

/** Nothing of it exists. */
export const emptyEnvironmentStatuses = ['neverDeployed', 'inactive'] as const;

/** Whether something of an environment may exist. */
export function mayHaveResources(status: EnvironmentStatus): boolean {
  return !includes(emptyEnvironmentStatuses, status);
}

export const driftStatuses = ['ok', 'drifted', 'error', 'neverRun'] as const;
export type DriftStatus = (typeof driftStatuses)[number];

export const approvalStatuses = ['pending', 'approved', 'rejected', 'expired', 'superseded'] as const;

function includes(list: readonly string[], item: string): boolean {
  return list.includes(item);
}

/** `rolling back`; the others are their own words. */
export function deploymentStatusWord(status: DeploymentStatus): string {
  return spaced(status);
}

/** `partly deployed`; the others are their own words. */
export function environmentStatusWord(status: EnvironmentStatus): string {
  return spaced(status);
}

/** `deployInProgress` as `deploy in progress`. */
function spaced(status: string): string {
  return status.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
