/** What a node that tries again later waits for: its account, and until when. */
export const name = '0072-node-waits';

export const sql = `
ALTER TABLE node_runs ADD COLUMN wait jsonb;
`;
