import { createApproval } from '../store/index.ts';
import type { Harness } from './api.test-support.ts';

/** Makes one of everything in a project. */
export async function fillProject(
  harness: Harness,
  project: string,
  names: { environment: string; template: string; word: string },
): Promise<Record<string, string>> {
  const make = async (path: string, body: object): Promise<string> => {
    const made = await harness.call<{ readonly id: string }>('POST', path, { body });
    if (made.status >= 300) throw new Error(made.text);
    return made.body.id;
  };
  const source = { kind: 'local', directory: '/srv/stacks' };
  const template = await make(`templates?project=${project}`, { name: names.template, type: 'shell', source });
  const environment = await make(`environments?project=${project}`, {
    name: names.environment,
    template: names.template,
  });
  const deployment = await make(`environments/${environment}/deployments`, { type: 'deploy' });
  const variable = await make(`variables?scope=environment&scopeId=${environment}`, {
    name: `${names.word}_variable`,
    value: 'x',
  });
  await harness.db.sql
    .insertInto('node_runs')
    .values({
      deployment_id: deployment,
      index: 0,
      alias: 'main',
      name: 'main',
      environment_id: environment,
      action: 'deploy',
    })
    .execute();
  const approval = await createApproval(harness.db.sql, {
    deploymentId: deployment,
    index: 0,
    compensation: false,
    environmentId: environment,
    entityId: environment,
    alias: 'main',
    required: 1,
    forbidRequester: false,
    reason: `${names.word} reason`,
    planArtifact: null,
    plan: { counts: { add: 1, change: 0, destroy: 0 }, hasChanges: true, resources: [], state: null },
    expiresAt: new Date(Date.now() + 60_000),
  });
  return { template, environment, deployment, variable, approval };
}

/** One of these is what a route takes. */
export const bodies: readonly object[] = [
  {},
  { reason: 'because' },
  { name: 'x', value: 'y' },
  { variables: [{ name: 'x', value: 'y' }] },
  { hours: 1 },
  { ttl: { kind: 'unlimited' } },
  { cron: '0 8 * * *' },
  { deploy: '0 8 * * *' },
  { text: 'environments: {}' },
  { name: 'x', type: 'shell', source: { kind: 'local', directory: '/srv' } },
  { name: 'x', template: 'stack' },
  { name: 'x' },
  { settings: {} },
  { kind: 'unlimited' },
  [{ name: 'x', value: 'y' }],
  { passphrase: 'x' },
];
