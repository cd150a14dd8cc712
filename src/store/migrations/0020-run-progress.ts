/** What a run is doing before it has nodes, such as fetching a repository, and how it was told to stop, for its nodes. */
export const name = '0020-run-progress';

export const sql = `
ALTER TABLE deployments ADD COLUMN progress text;
ALTER TABLE deployments ADD COLUMN stop_mode text;
`;
