import { isTracing } from '../tracing/index.ts';
import { approvalOperations } from './approvals.ts';
import { archiveOperations } from './archive.ts';
import { catalogueOperations } from './catalogue.ts';
import type { Context, OperationsDeps } from './context.ts';
import { deploymentOperations } from './deployments.ts';
import { encryptionOperations } from './encryption.ts';
import { effectiveVariableOperations } from './effective-variables.ts';
import { environmentOperations } from './environments.ts';
import { installationOperations } from './installation.ts';
import { accessOperations } from './keys.ts';
import { firingOperations } from './firings.ts';
import { fileSettingsOperations } from './life-settings-file.ts';
import { lifeOperations } from './life.ts';
import { ttlOperations } from './ttl.ts';
import { nodeVariableOperations } from './node-variables.ts';
import { poolOperations } from './pools.ts';
import { previewOperations } from './previews.ts';
import { requestOperations } from './request-deployment.ts';
import { resendOperations } from './resend.ts';
import { controlOperations } from './run-control.ts';
import { scheduleOperations } from './schedules.ts';
import { stateOperations } from './state.ts';
import { statusOperations } from './status.ts';
import { validateOperations } from './validate.ts';
import { traced } from './traced.ts';
import { variableOperations } from './variables.ts';

/**
 * What people, schedules and timers may ask for: one function a request. Each authorizes, checks, changes, and writes
 * down who did it, in this order. All throw WindlassError.
 */
export function createOperations(deps: OperationsDeps) {
  const context: Context = { ...deps, clock: deps.clock ?? Date.now };
  const operations = {
    ...catalogueOperations(context),
    ...environmentOperations(context),
    ...archiveOperations(context),
    ...statusOperations(context),
    ...lifeOperations(context),
    ...ttlOperations(context),
    ...scheduleOperations(context),
    ...fileSettingsOperations(context),
    ...firingOperations(context),
    ...stateOperations(context),
    ...variableOperations(context),
    ...effectiveVariableOperations(context),
    ...requestOperations(context),
    ...controlOperations(context),
    ...previewOperations(context),
    ...nodeVariableOperations(context),
    ...deploymentOperations(context),
    ...approvalOperations(context),
    ...accessOperations(context),
    ...encryptionOperations(context),
    ...installationOperations(context),
    ...poolOperations(context),
    ...validateOperations(context),
    ...resendOperations(context),
  };
  return isTracing() ? traced(operations) : operations;
}
export type Operations = ReturnType<typeof createOperations>;
