/** What this room needs of a SecretBox (see access): text in, text out, bound to the place it is stored at. */
export interface Secrets {
  /** Encrypts. Only `open` with the same context gives the text back. */
  seal(text: string, context: string): string;
  open(sealed: string, context: string): string;
}

export const secretContexts = {
  /** JSON text, so that no part of a place can be taken for another. */
  variable: (place: { scope: string; scopeId: string; alias: string; kind: string; name: string }): string =>
    `variable:${JSON.stringify([place.scope, place.scopeId, place.alias, place.kind, place.name])}`,
  output: (environmentId: string, name: string): string => `output:${environmentId}:${name}`,
  /** Values that came with the request for a run. */
  deployment: (deploymentId: string): string => `deployment:${deploymentId}`,
  /** Values in the snapshot of a node: later runs take snapshots over, so they are bound to what does not change. */
  snapshot: (projectId: string): string => `snapshot:${projectId}`,
  /** All values of a node's last success, kept with its snapshot. */
  resolved: (environmentId: string): string => `resolved:${environmentId}`,
} as const;
