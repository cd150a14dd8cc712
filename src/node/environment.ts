import { join } from 'node:path';
import type { EffectiveVariable, NodeAction, NodeBegin, NodeKey, NodeSnapshot, RunNodeInput } from '../model/index.ts';

/** Variables of the worker that tools need; everything else of its environment is kept from them. */
const passedOn = [
  'PATH',
  'HOME',
  'USER',
  'LANG',
  'LC_ALL',
  'TMPDIR',
  'TZ',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
];

/** What env0 calls the kinds of runs. */
const deploymentTypes: Readonly<Record<NodeAction, string>> = {
  deploy: 'deploy',
  destroy: 'destroy',
  plan: 'prPlan',
  drift: 'driftDetection',
  keep: 'deploy',
};

export interface NodePlace {
  readonly begin: NodeBegin;
  readonly key: NodeKey;
  readonly snapshot: NodeSnapshot;
  readonly input: Pick<RunNodeInput, 'action'>;
  readonly workDirectory: string;
}

/** The process environment of a node's tool and of its custom flow; variables of the user win. */
export function toolEnvironment(place: NodePlace, variables: readonly EffectiveVariable[]): Record<string, string> {
  const { begin, key, snapshot, input, workDirectory } = place;
  const environment: Record<string, string> = {};
  for (const name of passedOn) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  const system: Record<string, string | null> = {
    WINDLASS_ENVIRONMENT_ID: begin.environment_id,
    WINDLASS_DEPLOYMENT_ID: key.deploymentId,
    WINDLASS_ALIAS: begin.alias,
    ENV0_ENVIRONMENT_ID: begin.environment_id,
    ENV0_ENVIRONMENT_NAME: begin.name,
    ENV0_PROJECT_ID: begin.project_id,
    ENV0_ORGANIZATION_ID: begin.organization_id,
    ENV0_DEPLOYMENT_LOG_ID: key.deploymentId,
    ENV0_DEPLOYMENT_TYPE: deploymentTypes[input.action],
    ENV0_DEPLOYMENT_REVISION: snapshot.commit,
    ENV0_WORKSPACE_NAME: snapshot.workspace,
    ENV0_TEMPLATE_ID: snapshot.templateId,
    ENV0_TEMPLATE_NAME: snapshot.templateName,
    ENV0_ROOT_DIR: join(workDirectory, 'tree'),
    ENV0_REVIEWER_NAME: begin.reviewers,
  };
  for (const [name, value] of Object.entries(system)) if (value !== null) environment[name] = value;
  for (const { kind, name, value } of variables) {
    if (kind === 'environment') environment[name] = typeof value === 'string' ? value : JSON.stringify(value);
  }
  return environment;
}
