/** Records as the server answers them, for the tests of this room. */
import type { Approval, Deployment, Environment, Event, EventType, NodeRun } from '../../model/index.ts';

export const startMs = Date.parse('2026-03-01T12:00:00.000Z');

/** ISO time some seconds after the start of the run. */
export function at(seconds: number): string {
  return new Date(startMs + seconds * 1000).toISOString();
}

export function makeNode(alias: string, changes: Partial<NodeRun> = {}): NodeRun {
  return {
    index: 0,
    alias,
    within: [],
    name: alias,
    environmentId: `env_${alias}`,
    compensation: false,
    needs: [],
    action: 'deploy',
    removal: null,
    status: 'pending',
    stage: null,
    progress: null,
    waitsFor: null,
    wait: null,
    try: 1,
    reason: null,
    error: null,
    counts: null,
    ran: true,
    approvalId: null,
    templateName: alias,
    type: 'opentofu',
    commit: null,
    startedAt: null,
    finishedAt: null,
    stageTimes: {},
    ...changes,
  };
}

export function makeDeployment(changes: Partial<Deployment> = {}): Deployment {
  return {
    id: 'dep_1',
    environmentId: 'env_shop',
    environmentName: 'shop',
    number: 8,
    type: 'deploy',
    status: 'running',
    paused: false,
    maxParallel: null,
    trigger: 'user',
    requestedBy: 'administrator',
    request: { type: 'deploy', variables: [], replaceRenamed: false, force: false },
    progress: null,
    sourceCommit: null,
    error: null,
    basedOn: null,
    queuePosition: null,
    counts: { total: 6, succeeded: 0, failed: 0, cancelled: 0, skipped: 0, running: 0, pending: 6 },
    waitingForApproval: 0,
    temporalUrl: null,
    queuedAt: at(0),
    startedAt: at(0),
    finishedAt: null,
    ...changes,
  };
}

export function makeEnvironment(changes: Partial<Environment> = {}): Environment {
  return {
    id: 'env_shop',
    projectId: 'prj_1',
    parentId: null,
    alias: null,
    name: 'shop',
    type: 'workflow',
    templateId: 'tpl_1',
    templateName: 'Online shop',
    workspace: null,
    revision: null,
    status: 'active',
    flags: {
      waitingForApproval: 0,
      queued: 0,
      drift: 'neverRun',
      driftCheckedAt: null,
      lock: null,
      stateUnverified: null,
      detached: false,
      archived: false,
    },
    settings: {
      requiredApprovals: 1,
      forbidSelfApproval: false,
      approvalExpirySeconds: 1_209_600,
      coalesceDeploys: false,
    },
    expiresAt: null,
    expiryHeld: null,
    currentDeploymentId: 'dep_1',
    lastDeploymentId: 'dep_1',
    createdAt: at(-100),
    updatedAt: at(0),
    ...changes,
  };
}

export function makeApproval(changes: Partial<Approval> = {}): Approval {
  return {
    id: 'apr_1',
    deploymentId: 'dep_1',
    deploymentNumber: 8,
    deploymentType: 'deploy',
    environmentId: 'env_eks',
    environmentName: 'shop',
    alias: 'eks',
    path: 'shop/eks',
    requestedBy: 'administrator',
    status: 'pending',
    reason: '',
    about: 'plan',
    required: 1,
    forbidRequester: false,
    counts: { add: 1, change: 2, destroy: 1 },
    resources: [
      { address: 'aws_eks_cluster.main', type: 'aws_eks_cluster', action: 'update' },
      { address: 'aws_eks_node_group.old', type: 'aws_eks_node_group', action: 'delete' },
    ],
    decisions: [],
    createdAt: at(2),
    expiresAt: at(13 * 86_400 + 23 * 3600 + 2),
    ...changes,
  };
}

/** The six stacks of the example, in the order of its file. */
export function shopNodes(changes: Readonly<Record<string, Partial<NodeRun>>> = {}): NodeRun[] {
  const nodes: [string, string, string[]][] = [
    ['vpc', 'VPC and Network', []],
    ['db', 'DB', ['vpc']],
    ['eks', 'EKS', ['vpc']],
    ['billing', 'Billing Service', ['db', 'eks']],
    ['configuration', 'Configuration Service', ['db', 'eks']],
    ['notification', 'Notification Service', ['db', 'eks']],
  ];
  return nodes.map(([alias, name, needs], index) => makeNode(alias, { index, name, needs, ...changes[alias] }));
}

export function makeEvent(id: number, type: EventType, changes: Partial<Event> & Pick<Event, 'data'>): Event {
  return { id, type, at: at(id), environmentId: null, deploymentId: 'dep_1', alias: null, ...changes };
}
