import { join } from 'node:path';
import type { Approval, Deployment, Environment, NodeRun, OutputDto, Page } from '../src/model/index.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
const projects: TestProject[] = [];

afterAll(() => {
  for (const project of projects) project.remove();
});

type Steps = Record<string, { before?: unknown[]; after?: unknown[] }>;
interface Flow {
  readonly steps?: Steps;
  readonly onSuccess?: string[];
  readonly onFailure?: string[];
  readonly onCompletion?: string[];
}

/** One node `a` whose stack has the flow; `say` is a command that writes a word to the node's journal. */
async function withFlow(
  make: (say: (word: string) => string) => { deploy?: Flow; destroy?: Flow },
  place = 'stacks/a',
) {
  const project = makeProject('flow');
  projects.push(project);
  project.stack('a');
  project.workflow({ environments: { a: node('a') } });
  const say = (word: string): string => `echo "${word}" >> ${join(project.journal, 'a')}`;
  project.write(`${place}/env0.yml`, JSON.stringify({ version: 2, ...make(say) }));
  const environment = await makeEnvironment(server, project);
  return { project, environment };
}

const nodeOf = async (run: Deployment): Promise<NodeRun> => {
  const [only] = await server.nodes(run.id);
  if (only === undefined) throw new Error('the run has no node');
  return only;
};
const logOf = async (run: Deployment, alias = 'a'): Promise<string> => {
  const response = await fetch(`${server.url}/api/v1/deployments/${run.id}/logs?format=text&node=${alias}`, {
    headers: { authorization: `Bearer ${server.token}`, accept: 'text/plain' },
  });
  return response.text();
};
const pending = (run: Deployment): Promise<Approval> =>
  server.until(async () => {
    const page = await server.request<Page<Approval>>('GET', `/approvals?status=pending&deployment=${run.id}`);
    return page.items[0];
  });
const approve = (approval: Approval): Promise<unknown> =>
  server.request('POST', `/approvals/${approval.id}/approve`, {});

it('runs the commands around every step in their order, on deploy and on destroy', async () => {
  const { project, environment } = await withFlow((say) => ({
    deploy: {
      steps: {
        setupVariables: { after: [say('setup')] },
        terraformInit: { before: [say('init before')], after: [say('init after')] },
        terraformPlan: { before: [say('plan before')], after: [say('plan after')] },
        terraformApply: { before: [say('apply before')], after: [say('apply after')] },
        terraformOutput: { before: [say('outputs before')], after: [say('outputs after')] },
      },
      onSuccess: [say('success')],
      onFailure: [say('failure')],
      onCompletion: [say('completion')],
    },
    destroy: {
      steps: { terraformDestroy: { before: [say('destroy before')], after: [say('destroy after')] } },
      onCompletion: [say('gone')],
    },
  }));
  expect((await server.run(environment.id)).status).toBe('succeeded');
  const deployed = [
    ...['setup', 'init before', 'init after', 'plan before', 'plan after', 'apply before', 'apply', 'apply after'],
    ...['outputs before', 'outputs after', 'success', 'completion'],
  ];
  expect(project.lines('a')).toEqual(deployed);
  expect((await server.run(environment.id, { type: 'destroy' })).status).toBe('succeeded');
  expect(project.lines('a')).toEqual([...deployed, 'destroy before', 'destroy', 'destroy after', 'gone']);
});

it('hands what a command exports on to later commands and to the tool, and hides what is named like a secret', async () => {
  const { project, environment } = await withFlow((say) => ({
    deploy: {
      steps: {
        setupVariables: {
          after: [
            `echo 'TF_VAR_value="exported"' >> "$ENV0_ENV"`,
            { name: 'token', run: 'echo API_TOKEN=very-secret-value >> "$ENV0_ENV"' },
          ],
        },
        terraformApply: {
          after: [say('$TF_VAR_value $ENV0_DEPLOYMENT_TYPE $ENV0_ENVIRONMENT_ID'), 'echo "it is $API_TOKEN"'],
        },
      },
    },
  }));
  const run = await server.run(environment.id);
  expect((await nodeOf(run)).error).toBeNull();
  const own = (await nodeOf(run)).environmentId;
  expect(project.lines('a')).toEqual(['apply', `"exported" deploy ${own}`]);
  const outputs = await server.request<Page<OutputDto>>('GET', `/environments/${own}/outputs`);
  expect(outputs.items.find((output) => output.name === 'value')?.value).toBe('exported');
  const log = await logOf(run);
  expect(log).toContain('it is ***');
  expect(log).not.toContain('very-secret-value');
});

it('may make and change files of the stack; the next run begins with what is in the source', async () => {
  const { project, environment } = await withFlow(() => ({
    deploy: {
      steps: {
        terraformInit: {
          before: [
            'sed -i \'s/"one"/"changed"/\' main.tf',
            `test ! -e made.tf; echo 'output "made" { value = "by a command" }' > made.tf`,
            'test -f "$ENV0_ROOT_DIR/windlass.workflow.yml"',
          ],
        },
      },
    },
  }));
  const first = await server.run(environment.id);
  expect(first.status).toBe('succeeded');
  const own = (await nodeOf(first)).environmentId;
  const outputs = await server.request<Page<OutputDto>>('GET', `/environments/${own}/outputs`);
  expect(Object.fromEntries(outputs.items.map((output) => [output.name, output.value]))).toMatchObject({
    value: 'changed',
    made: 'by a command',
  });
  const again = await server.run(environment.id);
  expect(again.status).toBe('succeeded');
  expect(project.lines('a')).toEqual(['apply']);
});

describe('a command that fails', () => {
  it('fails the node before anything is changed, with what it said', async () => {
    const { project, environment } = await withFlow((say) => ({
      deploy: {
        steps: { terraformPlan: { after: [{ name: 'check costs', run: 'echo "too dear" >&2; exit 7' }] } },
        onSuccess: [say('success')],
        onFailure: [say('failure'), 'exit 1', say('not reached')],
        onCompletion: [say('completion')],
      },
    }));
    const run = await server.run(environment.id);
    expect(run.status).toBe('failed');
    const { error } = await nodeOf(run);
    expect(error).toMatchObject({ class: 'tool' });
    expect(error?.message).toContain('"check costs" of the custom flow ended with exit code 7: too dear');
    expect(project.lines('a')).toEqual(['failure', 'completion']);
  });

  it('runs the commands for a failure when the tool fails', async () => {
    const { project, environment } = await withFlow((say) => ({
      deploy: { onFailure: [say('failure')], onCompletion: [say('completion')] },
    }));
    project.failing('a', true);
    expect((await server.run(environment.id)).status).toBe('failed');
    expect(project.lines('a')).toEqual(['apply', 'failure', 'completion']);
  });
});

it('refuses a flow that is wrong, with the place in the file', async () => {
  const { project, environment } = await withFlow(() => ({ deploy: { steps: { terraformAply: {} } } }));
  const run = await server.run(environment.id);
  expect(run.status).toBe('failed');
  const { error } = await nodeOf(run);
  expect(error).toMatchObject({ class: 'definition' });
  expect(error?.message).toContain('stacks/a/env0.yml');
  expect(error?.message).toContain('terraformAply');
  expect(project.lines('a')).toEqual([]);
});

it('is found at the root of the source when the stack has none', async () => {
  const { project, environment } = await withFlow((say) => ({ deploy: { onSuccess: [say('root')] } }), '.');
  expect((await server.run(environment.id)).status).toBe('succeeded');
  expect(project.lines('a')).toEqual(['apply', 'root']);
});

it('asks for approval of the plan; the commands after it know who approved and what was exported before', async () => {
  const { project, environment } = await withFlow((say) => ({
    deploy: {
      steps: {
        setupVariables: { after: [say('setup')] },
        terraformPlan: {
          after: ['echo FOUND=something >> "$ENV0_ENV"', 'echo ENV0_REQUIRES_APPROVAL=true >> "$ENV0_ENV"'],
        },
        terraformApply: { before: [say('$ENV0_REVIEWER_NAME $FOUND')] },
      },
    },
  }));
  const run = await server.start(environment.id);
  const approval = await pending(run);
  expect(approval.reason).toBe('a custom flow asked for it');
  expect(approval.counts).toEqual({ add: 1, change: 0, destroy: 0 });
  expect(project.lines('a')).toEqual(['setup']);
  await approve(approval);
  expect((await server.ended(run.id)).status).toBe('succeeded');
  const decided = await server.request<Approval>('GET', `/approvals/${approval.id}`);
  expect(project.lines('a')).toEqual(['setup', 'setup', `${decided.decisions[0]?.by} something`, 'apply']);
});

it('applies an approved shell stack, which has no plan to keep, and destroys it with its destroy script', async () => {
  const project = makeProject('flow');
  projects.push(project);
  const file = join(project.journal, 'shell');
  project.write('stacks/shell/deploy.sh', `echo apply >> ${file}\n`);
  project.write('stacks/shell/destroy.sh', `echo destroy >> ${file}\n`);
  project.workflow({
    environments: { shell: { vcs: { type: 'shell', path: 'stacks/shell' }, requiresApproval: true } },
  });
  const environment: Environment = await makeEnvironment(server, project);
  const run = await server.start(environment.id);
  await approve(await pending(run));
  expect((await server.ended(run.id)).status).toBe('succeeded');
  const destroy = await server.start(environment.id, { type: 'destroy' });
  await approve(await pending(destroy));
  expect((await server.ended(destroy.id)).status).toBe('succeeded');
  expect(project.lines('shell')).toEqual(['apply', 'destroy']);
});

it('ends its commands when the run is aborted', async () => {
  const { project, environment } = await withFlow((say) => ({
    deploy: {
      steps: { terraformPlan: { before: [`${say('waiting')}; trap 'exit 3' INT; while true; do sleep 0.1; done`] } },
    },
  }));
  const run = await server.start(environment.id);
  await server.until(async () => project.lines('a').includes('waiting'));
  await server.request('POST', `/deployments/${run.id}/abort`, {});
  expect((await server.ended(run.id)).status).toBe('aborted');
  expect(project.lines('a')).toEqual(['waiting']);
  expect((await nodeOf(run)).error?.message).toContain('was stopped');
});
