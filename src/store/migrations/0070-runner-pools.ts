/** Pools of workers that belong to somebody else: they reach the records of their own nodes alone, with the pool's token. */
export const name = '0070-runner-pools';

export const sql = `
CREATE TABLE runner_pools (
  name text PRIMARY KEY,
  description text,
  token_hash text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  token_changed_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE workers ADD COLUMN pool text REFERENCES runner_pools (name) ON DELETE CASCADE;
CREATE INDEX workers_pool ON workers (pool) WHERE pool IS NOT NULL;
`;
