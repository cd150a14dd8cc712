/** Whether whoever asked for a run could approve at that moment: only then may the request waive an approval. */
export const name = '0040-approval-waivers';

export const sql = `
ALTER TABLE deployments ADD COLUMN may_waive_approval boolean NOT NULL DEFAULT false;
`;
