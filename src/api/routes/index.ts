import type { Route } from '../route.ts';
import { accessRoutes } from './access.ts';
import { approvalRoutes } from './approvals.ts';
import { catalogueRoutes } from './catalogue.ts';
import { deploymentRoutes } from './deployments.ts';
import { encryptionRoutes } from './encryption.ts';
import { environmentRoutes } from './environments.ts';
import { installationRoutes } from './installation.ts';
import type { RouteDeps } from './shared.ts';
import { stateRoutes } from './state.ts';
import { streamRoutes } from './streams.ts';
import { toolRoutes } from './tools.ts';
import { variableRoutes } from './variables.ts';

/** Every route of the API: the router and the OpenAPI document are both made from this. */
export function apiRoutes(deps: RouteDeps): Route[] {
  return [
    ...accessRoutes(deps),
    ...encryptionRoutes(deps),
    ...catalogueRoutes(deps),
    ...environmentRoutes(deps),
    ...deploymentRoutes(deps),
    ...streamRoutes(deps),
    ...approvalRoutes(deps),
    ...stateRoutes(deps),
    ...variableRoutes(deps),
    ...toolRoutes(deps),
    ...installationRoutes(deps),
  ];
}
