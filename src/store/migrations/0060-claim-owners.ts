/** Which process works on a request with an idempotency key, so that what a dead one left is taken over at once. */
export const name = '0060-claim-owners';

export const sql = `
ALTER TABLE idempotency_keys ADD COLUMN owner integer;
`;
