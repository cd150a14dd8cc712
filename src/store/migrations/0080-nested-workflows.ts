/** Nodes that are workflows themselves: their nodes are the environments of the same parent whose aliases begin with theirs. */
export const name = '0080-nested-workflows';

export const sql = `
ALTER TABLE environments ADD COLUMN nested boolean NOT NULL DEFAULT false;
`;
