import { approvals } from './approvals.ts';
import { audit, encryption, keys } from './access.ts';
import { organizations, projects, templates } from './catalogue.ts';
import { deployments } from './deployments.ts';
import { environments } from './environments.ts';
import { drift, schedules } from './life.ts';
import { pools } from './pools.ts';
import { state } from './state.ts';
import { installation, tools } from './tools.ts';
import { variables } from './variables.ts';

/** Every route of the API. The server, the OpenAPI document and the client are made from this. */
export const contract = {
  keys,
  pools,
  audit,
  encryption,
  organizations,
  projects,
  templates,
  environments,
  schedules,
  drift,
  deployments,
  approvals,
  state,
  variables,
  tools,
  installation,
};
export type Contract = typeof contract;

export { apiBase, defaultBodyLimit, idempotencyHeader, idempotencyKeySchema } from './constants.ts';
export { describeApi } from './openapi.ts';
export { eventId } from './parameters.ts';
export { routesOf, statusOf } from './route.ts';
export type {
  AnswerSchema,
  Method,
  Parsed,
  RouteContract,
  RoutePermission,
  RouteTable,
  SchemaOf,
  Tag,
} from './route.ts';
