/**
 * Events and log chunks are read in the order of their ids, but transactions that run beside each other may commit in
 * another. Before a transaction takes its first id, it says below which number none of its ids will be: with a shared
 * advisory lock, whose key holds the last id taken before. Readers stay at or below the lowest such number, so nothing
 * appears behind them (see growing-table.ts). Nobody takes these locks exclusively, so nobody waits.
 */
export const name = '0002-event-order';

function announceIds(table: string, lockTag: number): string {
  return `
CREATE FUNCTION windlass_announce_${table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- once a transaction: the first number is the lowest
  IF coalesce(current_setting('windlass.announced_${table}', true), '') = '' THEN
    PERFORM pg_advisory_xact_lock_shared((${lockTag}::bigint << 48) | CASE WHEN is_called THEN last_value ELSE 0 END)
      FROM ${table}_id_seq;
    PERFORM set_config('windlass.announced_${table}', 'yes', true);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER announce_ids BEFORE INSERT ON ${table}
  FOR EACH STATEMENT EXECUTE FUNCTION windlass_announce_${table}();
`;
}

export const sql = `
${announceIds('events', 22_352)}
${announceIds('log_chunks', 22_353)}
CREATE INDEX node_runs_history ON node_runs (environment_id, deployment_id);
DROP INDEX node_runs_environment;
CREATE INDEX approvals_environment ON approvals (environment_id, status);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
CREATE INDEX variables_scope ON variables (scope_id);
`;
