import { bindRoutes } from '../route.ts';
import type { Route } from '../route.ts';
import { auditHandlers, encryptionHandlers, keysHandlers } from './access.ts';
import { approvalsHandlers } from './approvals.ts';
import { organizationsHandlers, projectsHandlers, templatesHandlers } from './catalogue.ts';
import { deploymentsHandlers } from './deployments.ts';
import { environmentsHandlers } from './environments.ts';
import { driftHandlers, schedulesHandlers } from './life.ts';
import { poolsHandlers } from './pools.ts';
import type { RouteDeps } from './shared.ts';
import { stateHandlers } from './state.ts';
import { installationHandlers, toolsHandlers } from './tools.ts';
import { variablesHandlers } from './variables.ts';

/** Every route of the contract with its handler. */
export function apiRoutes(deps: RouteDeps): Route[] {
  return bindRoutes({
    keys: keysHandlers(deps),
    pools: poolsHandlers(deps),
    audit: auditHandlers(deps),
    encryption: encryptionHandlers(deps),
    organizations: organizationsHandlers(deps),
    projects: projectsHandlers(deps),
    templates: templatesHandlers(deps),
    environments: environmentsHandlers(deps),
    schedules: schedulesHandlers(deps),
    drift: driftHandlers(deps),
    deployments: deploymentsHandlers(deps),
    approvals: approvalsHandlers(deps),
    state: stateHandlers(deps),
    variables: variablesHandlers(deps),
    tools: toolsHandlers(deps),
    installation: installationHandlers(deps),
  });
}
