import type { Deployment, DeploymentStatus, DeploymentType, Environment, NodeRun, Page } from '../model/index.ts';
import { isReadOnly, WindlassError } from '../model/index.ts';
import {
  findDeployment,
  findEnvironment,
  getEnvironment,
  getNodeRun,
  listDeployments as readDeployments,
  listNodeRuns,
} from '../store/index.ts';
import type { PageRequest } from '../store/index.ts';
import { authorize, namedScope, scopeOf } from './context.ts';
import type { Asked, Context } from './context.ts';
import { withUrl } from './request-deployment.ts';

export type PlanFormat = 'json' | 'text';

/** Looking at runs. */
export function deploymentOperations(context: Context) {
  const { db, artifacts } = context;

  async function find({
    actor,
    ref,
  }: Asked & { ref: string }): Promise<{ deployment: Deployment; environment: Environment }> {
    const deployment = await findDeployment(db.sql, ref, scopeOf(actor));
    const environment = await getEnvironment(db.sql, deployment.environmentId);
    authorize(actor, 'view', environment.projectId);
    return { deployment: withUrl(context, deployment), environment };
  }

  return {
    async listDeployments({
      actor,
      environment,
      project,
      ...filter
    }: Asked &
      PageRequest & {
        environment?: string | undefined;
        project?: string | undefined;
        status?: readonly DeploymentStatus[] | undefined;
        type?: DeploymentType | undefined;
        since?: Date | undefined;
        requestedBy?: string | undefined;
      }): Promise<Page<Deployment>> {
      const scope = await namedScope(db.sql, actor, project);
      const of = environment === undefined ? undefined : await findEnvironment(db.sql, environment, scope);
      const page = await readDeployments(db.sql, scope, { ...filter, environmentId: of?.id });
      return { items: page.items.map((deployment) => withUrl(context, deployment)), next: page.next };
    },

    async getDeployment(ask: Asked & { ref: string }): Promise<Deployment> {
      return (await find(ask)).deployment;
    },

    /** All nodes in the order of the run; those that take something back come last. */
    async listNodes(ask: Asked & { ref: string }): Promise<NodeRun[]> {
      const { deployment } = await find(ask);
      return listNodeRuns(db.sql, deployment.id);
    },

    /** The plan of one node: what the tool said, masked. `shop` itself names the only node of an environment without a graph. */
    async readPlan({
      alias,
      format,
      ...ask
    }: Asked & { ref: string; alias: string; format: PlanFormat }): Promise<Uint8Array> {
      const { deployment, environment } = await find(ask);
      const node = await getNodeRun(db.sql, { deploymentId: deployment.id, alias }).catch(async (thrown: unknown) => {
        const [only, ...others] = environment.type === 'workflow' ? [] : await listNodeRuns(db.sql, deployment.id);
        if (only !== undefined && others.length === 0 && environment.name === alias) return only;
        throw thrown;
      });
      const kind = format === 'text' ? 'planText' : 'planJson';
      const known = await artifacts.find({ deploymentId: deployment.id, index: node.index, kind });
      if (known !== null) return (await artifacts.get(known.id)).body;
      throw new WindlassError(
        'notFound',
        `Deployment ${deployment.number} has no ${format === 'json' ? 'JSON plan' : 'plan'} of "${node.alias}"`,
        {
          hint: noPlanHint(deployment, node),
        },
      );
    },
  };
}

function noPlanHint({ type, environmentName }: Deployment, { status, alias }: NodeRun): string {
  switch (status) {
    case 'pending':
    case 'running':
    case 'retrying':
    case 'paused':
      return 'it has not been planned yet';
    case 'failed':
    case 'skipped':
    case 'cancelled':
    case 'aborted':
      return `the node ended as ${status}; why: windlass logs ${environmentName}/${alias}`;
    case 'waitingForApproval':
    case 'succeeded':
      return isReadOnly(type)
        ? `a ${type} keeps its plans for 90 days; ask for another: windlass plan`
        : 'a node that needs no approval is deployed without a plan of its own; ask for one: windlass plan';
  }
}
