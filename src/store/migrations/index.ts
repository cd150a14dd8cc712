import * as catalogue from './0001-catalogue.ts';
import * as ordering from './0002-event-order.ts';
import * as pacing from './0003-pacing.ts';
import * as expectedNodes from './0004-expected-nodes.ts';
import * as nodeProgress from './0005-node-progress.ts';
import * as controlRequests from './0010-control-requests.ts';
import * as runProgress from './0020-run-progress.ts';
import * as openGrants from './0030-open-grants.ts';
import * as approvalWaivers from './0040-approval-waivers.ts';
import * as keyNames from './0041-key-names.ts';
import * as encryptionKeys from './0050-encryption-keys.ts';
import * as claimOwners from './0060-claim-owners.ts';
import * as runnerPools from './0070-runner-pools.ts';
import * as traceparent from './0071-traceparent.ts';
import * as nodeWaits from './0072-node-waits.ts';
import * as nestedWorkflows from './0080-nested-workflows.ts';
import * as nodeExpiry from './0081-node-expiry.ts';

export interface Migration {
  readonly name: string;
  readonly sql: string;
}

/** In order. A released migration is never changed: what is wrong in one is mended by the next. */
export const migrations: readonly Migration[] = [
  catalogue,
  ordering,
  pacing,
  expectedNodes,
  nodeProgress,
  controlRequests,
  runProgress,
  openGrants,
  approvalWaivers,
  keyNames,
  encryptionKeys,
  claimOwners,
  runnerPools,
  traceparent,
  nodeWaits,
  nestedWorkflows,
  nodeExpiry,
];
