/** Row types of the catalogue; `migrations/` makes the tables. JSON columns are parsed with zod where they are read. */
import type { ColumnType, Generated, JSONColumnType, Selectable, Updateable } from 'kysely';

type Timestamp = ColumnType<Date, Date | string | undefined, Date | string>;
type NullableTimestamp = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
/** JSON in: a string made by JSON.stringify. JSON out: unknown, to be parsed. */
type Json = ColumnType<unknown, string, string>;
type DefaultJson = ColumnType<unknown, string | undefined, string>;
type NullableJson = ColumnType<unknown, string | null | undefined, string | null>;
/** bigserial and bigint come back as numbers: the drivers are set up so. */
type BigId = Generated<number>;

export interface OrganizationsTable {
  id: string;
  name: string;
  settings: DefaultJson;
  created_at: Timestamp;
}

export interface ProjectsTable {
  id: string;
  organization_id: string;
  name: string;
  settings: DefaultJson;
  created_at: Timestamp;
}

export interface TemplatesTable {
  id: string;
  project_id: string;
  name: string;
  type: string;
  source: Json;
  config: DefaultJson;
  retry_on_deploy: NullableJson;
  retry_on_destroy: NullableJson;
  description: string | null;
  created_at: Timestamp;
  updated_at: Timestamp;
}

export interface EnvironmentsTable {
  id: string;
  project_id: string;
  parent_id: string | null;
  alias: string | null;
  template_id: string | null;
  inline_template: NullableJson;
  name: string;
  workspace: string | null;
  revision: string | null;
  status: Generated<string>;
  settings: DefaultJson;
  lock: NullableJson;
  drift_status: Generated<string>;
  drift_checked_at: NullableTimestamp;
  expires_at: NullableTimestamp;
  expiry_notice: NullableJson;
  state_unverified: NullableJson;
  deployed_by: string | null;
  deployed_snapshot: NullableJson;
  input_hash: string | null;
  detached: Generated<boolean>;
  /** The file that was read last has the node, and not as disabled. */
  expected: Generated<boolean>;
  archived: Generated<boolean>;
  /** A workflow in the graph of its parent; its nodes are the parent's whose aliases begin with its own. */
  nested: Generated<boolean>;
  deployment_counter: Generated<number>;
  created_at: Timestamp;
  updated_at: Timestamp;
}

export interface VariablesTable {
  id: string;
  scope: string;
  scope_id: string;
  alias: Generated<string>;
  kind: string;
  name: string;
  type: string;
  value: NullableJson;
  sensitive: Generated<boolean>;
  read_only: Generated<boolean>;
  required: Generated<boolean>;
  regex: string | null;
  allowed: NullableJson;
  description: string | null;
  updated_at: Timestamp;
}

export interface DeploymentsTable {
  id: string;
  environment_id: string;
  number: number;
  type: string;
  status: Generated<string>;
  paused: Generated<boolean>;
  trigger: string;
  requested_by: Json;
  request: Json;
  definition: NullableJson;
  source_commit: string | null;
  error: NullableJson;
  based_on: string | null;
  may_waive_approval: Generated<boolean>;
  traceparent: Generated<string | null>;
  progress: Generated<string | null>;
  /** cancel, abort or rollback, once it is being stopped. */
  stop_mode: Generated<string | null>;
  queued_at: Timestamp;
  started_at: NullableTimestamp;
  finished_at: NullableTimestamp;
}

export interface NodeRunsTable {
  deployment_id: string;
  index: number;
  compensation: Generated<boolean>;
  alias: string;
  name: string;
  environment_id: string;
  needs: DefaultJson;
  action: string;
  engine: DefaultJson;
  status: Generated<string>;
  stage: string | null;
  progress: Generated<string | null>;
  try: Generated<number>;
  reason: NullableJson;
  error: NullableJson;
  snapshot: NullableJson;
  previous_snapshot: NullableJson;
  plan: NullableJson;
  journal: NullableJson;
  began_change: Generated<boolean>;
  changed_outputs: Generated<boolean>;
  ran: Generated<boolean>;
  stage_times: DefaultJson;
  started_at: NullableTimestamp;
  finished_at: NullableTimestamp;
  wait: NullableJson;
}

export interface OutputsTable {
  environment_id: string;
  name: string;
  type: string;
  value: Json;
  sensitive: Generated<boolean>;
  updated_at: Timestamp;
}

export interface ApprovalsTable {
  id: string;
  deployment_id: string;
  index: number;
  compensation: Generated<boolean>;
  environment_id: string;
  status: Generated<string>;
  required: Generated<number>;
  forbid_requester: Generated<boolean>;
  reason: string;
  plan_artifact: string | null;
  plan: Json;
  decisions: DefaultJson;
  created_at: Timestamp;
  expires_at: Timestamp;
  decided_at: NullableTimestamp;
}

export interface ArtifactsTable {
  id: string;
  deployment_id: string;
  index: number;
  kind: string;
  sha256: string;
  size: number;
  body: Uint8Array;
  created_at: Timestamp;
}

export interface LogChunksTable {
  id: BigId;
  deployment_id: string;
  index: number;
  compensation: Generated<boolean>;
  try: Generated<number>;
  stage: string;
  at: Timestamp;
  text: string;
}

export interface EventsTable {
  id: BigId;
  type: string;
  at: Timestamp;
  environment_id: string | null;
  deployment_id: string | null;
  alias: string | null;
  data: DefaultJson;
}

export interface StateVersionsTable {
  id: BigId;
  environment_id: string;
  serial: number;
  lineage: string;
  md5: string;
  size: number;
  body: Uint8Array;
  resources: Generated<number>;
  deployment_id: string | null;
  index: number | null;
  restored_from: number | null;
  created_by: string | null;
  created_at: Timestamp;
}

export interface StateLocksTable {
  environment_id: string;
  lock_id: string;
  info: Json;
  deployment_id: string | null;
  index: number | null;
  grant_id: string | null;
  acquired_at: Timestamp;
}

export interface StateGrantsTable {
  id: string;
  environment_id: string;
  deployment_id: string;
  index: number;
  compensation: Generated<boolean>;
  read_only: Generated<boolean>;
  token_hash: string;
  fenced_at: NullableTimestamp;
  created_at: Timestamp;
}

export interface WorkersTable {
  id: string;
  host: string;
  boot_id: string;
  pid: number;
  started_at: Timestamp;
  seen_at: Timestamp;
  stopped_at: NullableTimestamp;
  /** Ids of the encryption keys that it holds. */
  key_ids: DefaultJson;
  /** The runner pool it belongs to; null for ours. */
  pool: ColumnType<string | null, string | null | undefined, string | null>;
}

export interface RunnerPoolsTable {
  name: string;
  description: string | null;
  token_hash: string;
  created_at: Timestamp;
  token_changed_at: Timestamp;
}

export interface EncryptionKeysTable {
  id: string;
  check_value: string;
  status: string;
  origin: string;
  created_at: Timestamp;
  retired_at: NullableTimestamp;
}

export interface InstallationTable {
  key: string;
  value: Json;
  updated_at: Timestamp;
}

export interface DriftResultsTable {
  id: string;
  environment_id: string;
  deployment_id: string;
  status: string;
  resources: DefaultJson;
  message: string | null;
  at: Timestamp;
}

export interface ApiKeysTable {
  id: string;
  name: string;
  prefix: string;
  hash: string;
  permissions: JSONColumnType<string[], string, string>;
  created_at: Timestamp;
  expires_at: NullableTimestamp;
  last_used_at: NullableTimestamp;
  revoked_at: NullableTimestamp;
}

export interface ControlRequestsTable {
  id: string;
  deployment_id: string;
  kind: string;
  alias: string | null;
  /** Of the node when it was asked for. */
  node_status: string | null;
  reason: string | null;
  actor: Json;
  status: Generated<string>;
  refusal: string | null;
  /** The call that acted on it, so that it hears the same when it is made again. */
  taken_by: string | null;
  created_at: Timestamp;
  settled_at: NullableTimestamp;
}

export interface IdempotencyKeysTable {
  key: string;
  actor: string;
  request_hash: string;
  response_status: number | null;
  response_body: NullableJson;
  /** The process that works on it (`Presence`). */
  owner: number | null;
  created_at: Timestamp;
}

export interface AuditLogTable {
  id: BigId;
  at: Timestamp;
  actor: Json;
  action: string;
  target_type: string;
  target_id: string;
  project_id: string | null;
  before: NullableJson;
  after: NullableJson;
}

export interface PacingTable {
  key: string;
  until: Timestamp;
  strikes: Generated<number>;
}

export interface Schema {
  organizations: OrganizationsTable;
  projects: ProjectsTable;
  templates: TemplatesTable;
  environments: EnvironmentsTable;
  variables: VariablesTable;
  deployments: DeploymentsTable;
  node_runs: NodeRunsTable;
  outputs: OutputsTable;
  approvals: ApprovalsTable;
  artifacts: ArtifactsTable;
  log_chunks: LogChunksTable;
  events: EventsTable;
  state_versions: StateVersionsTable;
  state_locks: StateLocksTable;
  state_grants: StateGrantsTable;
  workers: WorkersTable;
  runner_pools: RunnerPoolsTable;
  drift_results: DriftResultsTable;
  api_keys: ApiKeysTable;
  idempotency_keys: IdempotencyKeysTable;
  control_requests: ControlRequestsTable;
  audit_log: AuditLogTable;
  pacing: PacingTable;
  encryption_keys: EncryptionKeysTable;
  installation: InstallationTable;
}

export type EnvironmentRow = Selectable<EnvironmentsTable>;
export type DeploymentRow = Selectable<DeploymentsTable>;
export type NodeRunRow = Selectable<NodeRunsTable>;
export type TemplateRow = Selectable<TemplatesTable>;
export type VariableRow = Selectable<VariablesTable>;
export type ApiKeyRow = Selectable<ApiKeysTable>;
export type ApprovalRow = Selectable<ApprovalsTable>;
export type RowPatch<T extends keyof Schema> = Updateable<Schema[T]>;
