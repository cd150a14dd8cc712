/** What has been told of the end of a node: warnings, and what holds it. */
export const name = '0081-node-expiry';

export const sql = `
ALTER TABLE environments ADD COLUMN expiry_notice jsonb;
`;
