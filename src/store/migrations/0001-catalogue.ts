/** The whole catalogue. Same SQL on PostgreSQL 14+ and PGlite. */
export const name = '0001-catalogue';

export const sql = `
CREATE TABLE organizations (
  id text PRIMARY KEY,
  name text NOT NULL UNIQUE,
  settings jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projects (
  id text PRIMARY KEY,
  organization_id text NOT NULL REFERENCES organizations(id),
  name text NOT NULL,
  settings jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (organization_id, name)
);

CREATE TABLE templates (
  id text PRIMARY KEY,
  project_id text NOT NULL REFERENCES projects(id),
  name text NOT NULL,
  type text NOT NULL,
  source jsonb NOT NULL,
  config jsonb NOT NULL DEFAULT '{}',
  retry_on_deploy jsonb,
  retry_on_destroy jsonb,
  description text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (project_id, name)
);

CREATE TABLE environments (
  id text PRIMARY KEY,
  project_id text NOT NULL REFERENCES projects(id),
  parent_id text REFERENCES environments(id),
  -- set on sub-environments only
  alias text,
  template_id text REFERENCES templates(id),
  -- type, source and config when the template stands in the workflow file
  inline_template jsonb,
  name text NOT NULL,
  workspace text,
  revision text,
  status text NOT NULL DEFAULT 'neverDeployed',
  settings jsonb NOT NULL DEFAULT '{}',
  lock jsonb,
  drift_status text NOT NULL DEFAULT 'neverRun',
  drift_checked_at timestamptz,
  expires_at timestamptz,
  -- why the state may not match the resources, after a crash that left no proof
  state_unverified jsonb,
  -- the last deployment that changed it and succeeded, and what it ran with
  deployed_by text,
  deployed_snapshot jsonb,
  -- hash of commit, inputs and state serial at the last success: unchanged nodes are recognized by it
  input_hash text,
  -- removed from the file with the strategy detach
  detached boolean NOT NULL DEFAULT false,
  archived boolean NOT NULL DEFAULT false,
  deployment_counter integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX environments_name ON environments (project_id, name) WHERE parent_id IS NULL AND NOT archived;
CREATE UNIQUE INDEX environments_alias ON environments (parent_id, alias) WHERE parent_id IS NOT NULL AND NOT detached;
CREATE INDEX environments_parent ON environments (parent_id);

CREATE TABLE variables (
  id text PRIMARY KEY,
  scope text NOT NULL,
  scope_id text NOT NULL,
  alias text NOT NULL DEFAULT '',
  kind text NOT NULL,
  name text NOT NULL,
  type text NOT NULL,
  -- plain JSON, or ciphertext when sensitive; NULL declares without a value
  value jsonb,
  sensitive boolean NOT NULL DEFAULT false,
  read_only boolean NOT NULL DEFAULT false,
  required boolean NOT NULL DEFAULT false,
  regex text,
  allowed jsonb,
  description text,
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (scope, scope_id, alias, kind, name)
);

CREATE TABLE deployments (
  id text PRIMARY KEY,
  -- the environment whose slot it takes: the workflow environment, also for a run of one of its nodes
  environment_id text NOT NULL REFERENCES environments(id),
  number integer NOT NULL,
  type text NOT NULL,
  status text NOT NULL DEFAULT 'queued',
  paused boolean NOT NULL DEFAULT false,
  trigger text NOT NULL,
  requested_by jsonb NOT NULL,
  request jsonb NOT NULL,
  -- settings, file text and title of this run, once resolved; never changed afterwards
  definition jsonb,
  source_commit text,
  error jsonb,
  -- the deployment whose snapshot a rollback restores, or that a resume continues
  based_on text,
  queued_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  finished_at timestamptz,
  UNIQUE (environment_id, number)
);
CREATE INDEX deployments_open ON deployments (status) WHERE finished_at IS NULL;

-- one row per node of a run; compensation rows undo forward rows of the same index
CREATE TABLE node_runs (
  deployment_id text NOT NULL REFERENCES deployments(id),
  index integer NOT NULL,
  compensation boolean NOT NULL DEFAULT false,
  alias text NOT NULL,
  name text NOT NULL,
  environment_id text NOT NULL REFERENCES environments(id),
  needs jsonb NOT NULL DEFAULT '[]',
  action text NOT NULL,
  -- what the engine must know, as in RunNode; read back after continue-as-new
  engine jsonb NOT NULL DEFAULT '{}',
  status text NOT NULL DEFAULT 'pending',
  stage text,
  try integer NOT NULL DEFAULT 0,
  reason jsonb,
  error jsonb,
  snapshot jsonb,
  -- the snapshot in force before this run, which compensation returns to; NULL when it was not deployed
  previous_snapshot jsonb,
  plan jsonb,
  -- evidence for recovery: worker, host, working directory, begun stage, lock id, state serial
  journal jsonb,
  -- the tool may have begun to change something
  began_change boolean NOT NULL DEFAULT false,
  changed_outputs boolean NOT NULL DEFAULT false,
  ran boolean NOT NULL DEFAULT false,
  stage_times jsonb NOT NULL DEFAULT '{}',
  started_at timestamptz,
  finished_at timestamptz,
  PRIMARY KEY (deployment_id, compensation, index)
);
CREATE UNIQUE INDEX node_runs_alias ON node_runs (deployment_id, compensation, alias);
CREATE INDEX node_runs_environment ON node_runs (environment_id);

CREATE TABLE outputs (
  environment_id text NOT NULL REFERENCES environments(id),
  name text NOT NULL,
  type text NOT NULL,
  -- plain JSON, or ciphertext when sensitive
  value jsonb NOT NULL,
  sensitive boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (environment_id, name)
);

CREATE TABLE approvals (
  id text PRIMARY KEY,
  deployment_id text NOT NULL,
  index integer NOT NULL,
  compensation boolean NOT NULL DEFAULT false,
  environment_id text NOT NULL REFERENCES environments(id),
  status text NOT NULL DEFAULT 'pending',
  required integer NOT NULL DEFAULT 1,
  forbid_requester boolean NOT NULL DEFAULT false,
  reason text NOT NULL,
  plan_artifact text,
  plan jsonb NOT NULL,
  decisions jsonb NOT NULL DEFAULT '[]',
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  decided_at timestamptz
);
CREATE INDEX approvals_pending ON approvals (status) WHERE status = 'pending';
CREATE INDEX approvals_node ON approvals (deployment_id, compensation, index);

CREATE TABLE artifacts (
  id text PRIMARY KEY,
  deployment_id text NOT NULL,
  index integer NOT NULL,
  kind text NOT NULL,
  sha256 text NOT NULL,
  size integer NOT NULL,
  body bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX artifacts_run ON artifacts (deployment_id, index);

CREATE TABLE log_chunks (
  id bigserial PRIMARY KEY,
  deployment_id text NOT NULL,
  index integer NOT NULL,
  compensation boolean NOT NULL DEFAULT false,
  try integer NOT NULL DEFAULT 1,
  stage text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  text text NOT NULL
);
CREATE INDEX log_chunks_run ON log_chunks (deployment_id, index, id);

CREATE TABLE events (
  id bigserial PRIMARY KEY,
  type text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  environment_id text,
  deployment_id text,
  alias text,
  data jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_deployment ON events (deployment_id, id);
CREATE INDEX events_environment ON events (environment_id, id);

CREATE TABLE state_versions (
  id bigserial PRIMARY KEY,
  environment_id text NOT NULL REFERENCES environments(id),
  serial bigint NOT NULL,
  lineage text NOT NULL,
  md5 text NOT NULL,
  size integer NOT NULL,
  -- ciphertext
  body bytea NOT NULL,
  resources integer NOT NULL DEFAULT 0,
  deployment_id text,
  index integer,
  restored_from bigint,
  created_by text,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX state_versions_environment ON state_versions (environment_id, id);

CREATE TABLE state_locks (
  environment_id text PRIMARY KEY REFERENCES environments(id),
  lock_id text NOT NULL,
  info jsonb NOT NULL,
  deployment_id text,
  index integer,
  -- which call of the tool holds it; a fenced call may neither write nor unlock
  grant_id text,
  acquired_at timestamptz NOT NULL DEFAULT now()
);

-- one per call of a tool: lets it use the state of one environment, until it is fenced
CREATE TABLE state_grants (
  id text PRIMARY KEY,
  environment_id text NOT NULL REFERENCES environments(id),
  deployment_id text NOT NULL,
  index integer NOT NULL,
  compensation boolean NOT NULL DEFAULT false,
  read_only boolean NOT NULL DEFAULT false,
  token_hash text NOT NULL,
  fenced_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX state_grants_run ON state_grants (deployment_id, index);

CREATE TABLE workers (
  id text PRIMARY KEY,
  host text NOT NULL,
  boot_id text NOT NULL,
  pid integer NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at timestamptz NOT NULL DEFAULT now(),
  stopped_at timestamptz
);

CREATE TABLE drift_results (
  id text PRIMARY KEY,
  environment_id text NOT NULL REFERENCES environments(id),
  deployment_id text NOT NULL,
  status text NOT NULL,
  resources jsonb NOT NULL DEFAULT '[]',
  message text,
  at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX drift_results_environment ON drift_results (environment_id, at);

CREATE TABLE api_keys (
  id text PRIMARY KEY,
  name text NOT NULL,
  -- first characters, so that people recognize it
  prefix text NOT NULL,
  hash text NOT NULL UNIQUE,
  permissions jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz
);

CREATE TABLE idempotency_keys (
  key text NOT NULL,
  actor text NOT NULL,
  request_hash text NOT NULL,
  response_status integer,
  response_body jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (actor, key)
);

CREATE TABLE audit_log (
  id bigserial PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  actor jsonb NOT NULL,
  action text NOT NULL,
  target_type text NOT NULL,
  target_id text NOT NULL,
  project_id text,
  before jsonb,
  after jsonb
);
CREATE INDEX audit_target ON audit_log (target_type, target_id);
`;
