/** The trace of the request that asked for a run, so that what workers do for it later belongs to the same. */
export const name = '0071-traceparent';

export const sql = `
ALTER TABLE deployments ADD COLUMN traceparent text;
`;
