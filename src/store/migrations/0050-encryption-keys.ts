/**
 * Which encryption keys this database was written with, each with a check value sealed under it, so that a wrong key is
 * refused at the start; and which of them each worker holds, so that a rotation begins when all have the new one.
 */
export const name = '0050-encryption-keys';

export const sql = `
CREATE TABLE encryption_keys (
  id text PRIMARY KEY,
  check_value text NOT NULL,
  -- current: seals; previous: still opens something; retired: opens nothing any more
  status text NOT NULL,
  -- where it came from when it was first used
  origin text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  retired_at timestamptz
);
CREATE UNIQUE INDEX encryption_keys_current ON encryption_keys (status) WHERE status = 'current';
ALTER TABLE workers ADD COLUMN key_ids jsonb NOT NULL DEFAULT '[]';

-- what is said of this installation as a whole, such as that it was moved away
CREATE TABLE installation (
  key text PRIMARY KEY,
  value jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);
`;
