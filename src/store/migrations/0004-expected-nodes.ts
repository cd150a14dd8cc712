/** Whether the file that was read last has a node and wants it deployed: the graph is whole without the others. */
export const name = '0004-expected-nodes';

export const sql = `
ALTER TABLE environments ADD COLUMN expected boolean NOT NULL DEFAULT true;
`;
