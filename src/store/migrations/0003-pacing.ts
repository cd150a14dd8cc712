/** Accounts whose service asked for slower calls: when the next may be made, and how often it has asked in a row. */
export const name = '0003-pacing';

export const sql = `
CREATE TABLE pacing (
  -- hash of project and account; the account itself is not kept
  key text PRIMARY KEY,
  until timestamptz NOT NULL,
  strikes integer NOT NULL DEFAULT 1
);
`;
