/** What people ask of runs in progress, written down before Temporal hears of it: a message there only names the request. */
export const name = '0010-control-requests';

export const sql = `
CREATE TABLE control_requests (
  id text PRIMARY KEY,
  deployment_id text NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
  kind text NOT NULL,
  alias text,
  node_status text,
  reason text,
  actor jsonb NOT NULL,
  status text NOT NULL DEFAULT 'open',
  refusal text,
  taken_by text,
  created_at timestamptz NOT NULL DEFAULT now(),
  settled_at timestamptz
);
CREATE INDEX control_requests_of_deployment ON control_requests (deployment_id);
CREATE INDEX control_requests_open ON control_requests (created_at) WHERE status = 'open';
`;
