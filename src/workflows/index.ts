/** What the worker bundles. Names of these exports are the workflow types (model/orchestration.ts). */
export { environment } from './environment/environment.ts';
export { deployment } from './graph/deployment.ts';
export { subEnvironment } from './node/sub-environment.ts';
export { keepHouse, reconcile, scheduledRequest } from './scheduled.ts';
