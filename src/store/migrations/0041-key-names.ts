/** Names of keys that can be used are unique: of those that share one, the oldest keeps it and the others get a part of their id. */
export const name = '0041-key-names';

export const sql = `
UPDATE api_keys k SET name = k.name || ' (' || right(k.id, 6) || ')'
WHERE k.revoked_at IS NULL AND EXISTS (
  SELECT 1 FROM api_keys older WHERE older.name = k.name AND older.revoked_at IS NULL
    AND (older.created_at, older.id) < (k.created_at, k.id));
CREATE UNIQUE INDEX api_keys_name ON api_keys (name) WHERE revoked_at IS NULL;
`;
