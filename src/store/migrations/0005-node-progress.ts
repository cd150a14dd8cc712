/** How far the tool of a node is, for those who ask instead of listening. */
export const name = '0005-node-progress';

export const sql = `
ALTER TABLE node_runs ADD COLUMN progress text;
`;
