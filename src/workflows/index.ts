/** What the worker bundles. Names of these exports are the workflow types (model/orchestration.ts). */
export { environment } from './environment.ts';
export { deployment } from './deployment.ts';
export { subEnvironment } from './sub-environment.ts';
export { keepHouse, reconcile, scheduledRequest } from './scheduled.ts';
