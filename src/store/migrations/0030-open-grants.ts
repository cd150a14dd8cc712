/** Grants of the state backend that are not ended, for those who look for what was left open. */
export const name = '0030-open-grants';

export const sql = `
CREATE INDEX state_grants_open ON state_grants (created_at) WHERE fenced_at IS NULL;
`;
