import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { ToolError } from '../index.ts';
import { makeWorkshop, startStateServer, variable } from '../tools.fixture.ts';
import type { StateServer, Workshop } from '../tools.fixture.ts';

jest.setTimeout(120_000);

const stack = `
variable "size" {
  type = number
  default = 1
}
variable "secret" {
  type      = string
  default   = "none"
  sensitive = true
}
resource "terraform_data" "one" {
  input = var.size
}
resource "terraform_data" "two" {
  input = [terraform_data.one.output, var.secret]
}
output "size" { value = terraform_data.one.output }
output "tags" { value = { list = ["a"], on = true } }
output "secret" {
  value     = var.secret
  sensitive = true
}
`;

describe.each(['opentofu', 'terraform'] as const)('%s with managed state', (type) => {
  let shop: Workshop;
  let state: StateServer;
  beforeEach(async () => {
    shop = makeWorkshop();
    state = await startStateServer();
  });
  afterEach(async () => {
    await state.close();
    shop.clean();
  });

  async function refused(promise: Promise<unknown>): Promise<ToolError['error']> {
    const thrown: unknown = await promise.then(
      () => null,
      (error: unknown) => error,
    );
    expect(thrown).toHaveProperty('error.class');
    return (thrown as ToolError).error;
  }

  test('a deploy in one process gives outputs, counts and progress, and runs no init', async () => {
    const source = shop.source('a', { 'main.tf': stack });
    const runner = shop.runners.get(type);
    const run = shop.run({
      type,
      source,
      state: state.url,
      variables: [variable('size', 7), variable('secret', 'pa55word', true), variable('unused', 1)],
    });
    await runner.prepare(run);
    const { outputs, plan } = await runner.deploy(run);
    expect(outputs).toEqual([
      { name: 'secret', type: 'text', value: 'pa55word', sensitive: true },
      { name: 'size', type: 'number', value: 7, sensitive: false },
      { name: 'tags', type: 'map', value: { list: ['a'], on: true }, sensitive: false },
    ]);
    expect(plan).toMatchObject({ counts: { add: 2, change: 0, destroy: 0 }, hasChanges: true });
    expect(run.trace.stages).toEqual(['apply!']);
    expect(run.trace.progress).toEqual(['1 of 2 resources', '2 of 2 resources']);
    expect(run.trace.text).toContain('terraform_data.one: Creating...');
    expect(run.trace.text).not.toContain('pa55word');
    expect(run.trace.text).not.toContain('undeclared');
    expect(state.locks.size).toBe(0);
    expect([...state.passwords]).toEqual(['secret-grant']);
    expect(existsSync(join(run.workDirectory, 'tree', 'zz-windlass.auto.tfvars.json'))).toBe(false);

    const again = shop.run({
      type,
      source,
      state: state.url,
      variables: [variable('size', 7), variable('secret', 'pa55word')],
    });
    await runner.prepare(again);
    expect((await runner.deploy(again)).plan).toMatchObject({
      hasChanges: false,
      counts: { add: 0, change: 0, destroy: 0 },
    });
    expect(again.trace.stages).toEqual(['apply!']);
  });

  test('a plan is applied as it was made, also from another work directory, and is stale after the state moved on', async () => {
    const source = shop.source('a', { 'main.tf': stack });
    const runner = shop.runners.get(type);
    const first = shop.run({ type, source, state: state.url, variables: [variable('size', 3)] });
    await runner.prepare(first);
    const plan = await runner.plan(first);
    expect(plan.plan).toMatchObject({
      counts: { add: 2, change: 0, destroy: 0 },
      hasChanges: true,
      state: { serial: 0, lineage: '' },
    });
    expect(plan.plan.resources).toContainEqual({
      address: 'terraform_data.two',
      type: 'terraform_data',
      action: 'create',
      before: null,
      after: expect.objectContaining({ input: expect.arrayContaining(['(sensitive value)']) }),
    });
    expect(plan.text).toContain('# terraform_data.one will be created');
    expect(JSON.stringify(plan.json)).not.toContain('prior_state');
    const other = {
      ...shop.run({ type, source, state: state.url }),
      workDirectory: join(shop.directory, 'work', 'elsewhere'),
    };
    await runner.prepare(other);
    const artifact = plan.artifact ?? new Uint8Array();
    const applied = await runner.apply(other, artifact);
    expect(applied.outputs).toContainEqual({ name: 'size', type: 'number', value: 3, sensitive: false });
    expect(await refused(runner.apply(other, artifact))).toMatchObject({
      class: 'stalePlan',
      hint: expect.stringContaining('plan again'),
    });
    const next = await runner.plan(first);
    expect(next.plan).toMatchObject({ hasChanges: false, resources: [], state: { serial: 1 } });
    expect(next.plan.state?.lineage).toBe(JSON.parse(state.states.get('/env') ?? '{}').lineage);
  });

  test('destroying takes everything away, and what is gone already is no error', async () => {
    const source = shop.source('a', { 'main.tf': stack });
    const runner = shop.runners.get(type);
    const run = shop.run({ type, source, state: state.url });
    await runner.prepare(run);
    await runner.deploy(run);
    expect((await runner.planDestroy(run)).plan).toMatchObject({
      counts: { add: 0, change: 0, destroy: 2 },
      hasChanges: true,
    });
    expect((await runner.destroy(run)).plan?.counts).toEqual({ add: 0, change: 0, destroy: 2 });
    expect((await runner.destroy(run)).plan).toMatchObject({ hasChanges: false });
    expect(JSON.parse(state.states.get('/env') ?? '{}').resources).toEqual([]);
  });

  test('files of an earlier commit go away, and siblings of the stack can be used as modules', async () => {
    const module = { 'modules/m/main.tf': 'variable "v" {}\noutput "v" { value = var.v }\n' };
    const one = shop.source('one', {
      ...module,
      'stacks/a/main.tf':
        'module "m" {\n  source = "../../modules/m"\n  v = "x"\n}\noutput "o" { value = module.m.v }\n',
      'stacks/a/old.tf': 'output "old" { value = 1 }\n',
      'stacks/b/main.tf': '',
    });
    const two = shop.source('two', {
      ...module,
      'stacks/a/main.tf':
        'module "m" {\n  source = "../../modules/m"\n  v = "y"\n}\noutput "o" { value = module.m.v }\n',
    });
    const runner = shop.runners.get(type);
    const first = shop.run({ type, source: one, path: 'stacks/a', state: state.url });
    await runner.prepare(first);
    expect((await runner.deploy(first)).outputs.map((o) => o.name)).toEqual(['o', 'old']);
    expect(first.trace.stages).toEqual(['init', 'apply!']);
    const second = shop.run({ type, source: two, path: 'stacks/a', state: state.url });
    await runner.prepare(second);
    expect((await runner.deploy(second)).outputs).toEqual([{ name: 'o', type: 'text', value: 'y', sensitive: false }]);
    const third = shop.run({ type, source: two, path: 'stacks/a', state: state.url });
    await runner.prepare(third);
    expect(third.trace.stages).toEqual([]);
  });

  test('errors name the thing, the place and what to do', async () => {
    const runner = shop.runners.get(type);
    const broken = shop.run({
      type,
      source: shop.source('broken', { 'main.tf': 'resource "terraform_data" "a" {\n  inputt = 1\n}\n' }),
      state: state.url,
    });
    await runner.prepare(broken);
    expect(await refused(runner.deploy(broken))).toMatchObject({
      class: 'definition',
      message: expect.stringContaining('Unsupported argument'),
      where: 'main.tf:2',
      hint: expect.any(String),
    });
    const missing = shop.run({
      type,
      source: shop.source('missing', { 'v.tf': 'variable "need" {\n  type = number\n}\n' }),
      state: state.url,
    });
    await runner.prepare(missing);
    expect(await refused(runner.deploy(missing))).toMatchObject({
      class: 'definition',
      message: expect.stringContaining('"need"'),
      where: 'v.tf:1',
    });
    const wrong = { ...missing, variables: [variable('need', 'secret-word')] };
    await runner.prepare(wrong);
    const error = await refused(runner.deploy(wrong));
    expect(error.class).toBe('definition');
    expect(JSON.stringify(error)).not.toContain('secret-word');
    expect(missing.trace.text).not.toContain('secret-word');
    const empty = shop.run({ type, source: shop.source('empty', { 'readme.md': 'x' }), state: state.url });
    await expect(runner.prepare(empty)).rejects.toMatchObject({
      class: 'definition',
      message: expect.stringContaining('has no .tf'),
    });
    const nowhere = shop.run({ type, source: shop.source('nowhere', {}), path: 'stacks/x', state: state.url });
    await expect(runner.prepare(nowhere)).rejects.toMatchObject({
      class: 'definition',
      message: 'the source has no directory "stacks/x"',
    });
  });

  test('a lock that somebody holds is refused at once, with its id', async () => {
    const runner = shop.runners.get(type);
    const run = shop.run({ type, source: shop.source('a', { 'main.tf': stack }), state: state.url });
    await runner.prepare(run);
    state.locks.set('/env', {
      ID: 'held-by-another',
      Who: 'someone@else',
      Operation: 'OperationTypeApply',
      Created: '2026-01-01T00:00:00Z',
      Info: '',
      Version: '1',
      Path: '',
    });
    const error = await refused(runner.deploy(run));
    expect(error.class).toBe('lock');
    expect(error.message).toContain('held-by-another');
    expect(state.requests.filter((request) => request.startsWith('LOCK')).length).toBe(1);
  });

  test('a failing resource is named, and it is known that the state was changed', async () => {
    const runner = shop.runners.get(type);
    const source = shop.source('a', {
      'main.tf':
        'resource "terraform_data" "boom" {\n  provisioner "local-exec" {\n    command = "echo working; exit 3"\n  }\n}\n',
    });
    const run = shop.run({ type, source, state: state.url });
    await runner.prepare(run);
    const thrown: unknown = await runner.deploy(run).catch((error: unknown) => error);
    expect(thrown).toMatchObject({
      changedState: true,
      error: { class: 'provider', message: expect.stringContaining('terraform_data.boom'), where: 'main.tf:2' },
    });
    expect(run.trace.text).toContain('working');
  });

  test('a work directory of an earlier version of Windlass goes on being used, with its state kept here', async () => {
    const source = shop.source('a', { 'main.tf': stack });
    const runner = shop.runners.get(type);
    const run = shop.run({ type, source, state: state.url });
    await runner.prepare(run);
    await runner.deploy(run);
    const directory = join(run.workDirectory, 'tree');
    const now = join(directory, 'windlass_backend_override.tf');
    renameSync(now, join(directory, 'windlass_backend.tf'));
    const later = shop.run({ type, source, state: state.url });
    await runner.prepare(later);
    expect((await runner.deploy(later)).plan).toMatchObject({ hasChanges: false });
    expect(existsSync(now)).toBe(true);
    expect(existsSync(join(directory, 'windlass_backend.tf'))).toBe(false);
  });

  test('a value that the stack has no variable for is named in the log, unless it is inherited', async () => {
    const run = shop.run({
      type,
      source: shop.source('a', { 'main.tf': stack }),
      state: state.url,
      variables: [
        { ...variable('sise', 3), own: true },
        { ...variable('size', 2), own: true },
        { ...variable('region', 'eu'), own: false },
      ],
    });
    const runner = shop.runners.get(type);
    await runner.prepare(run);
    expect((await runner.deploy(run)).outputs).toContainEqual(expect.objectContaining({ name: 'size', value: 2 }));
    expect(run.trace.text).toContain(
      'Not used, since the stack declares no such variable: sise. It declares: secret, size.\n',
    );
    expect(run.trace.text).not.toContain('region');
  });

  test('a stack that lost its own backend does not start with an empty state', async () => {
    const runner = shop.runners.get(type);
    const own = shop.source('own', {
      'main.tf': `terraform {\n  backend "local" {\n    path = "${shop.directory}/own.tfstate"\n  }\n}\n${stack}`,
    });
    const run = shop.run({ type, source: own, state: state.url });
    await runner.prepare(run);
    expect((await runner.deploy(run)).outputs).toContainEqual({
      name: 'secret',
      type: 'text',
      value: 'none',
      sensitive: true,
    });
    expect(run.trace.stages).toEqual(['init', 'apply!', 'outputs!']);
    expect(state.states.size).toBe(0);
    const lost = shop.run({ type, source: shop.source('lost', { 'main.tf': stack }), state: state.url });
    expect(await refused(runner.prepare(lost))).toMatchObject({
      class: 'definition',
      message: expect.stringContaining('backend "local"'),
    });
    expect(readFileSync(join(shop.directory, 'own.tfstate'), 'utf8')).toContain('terraform_data');
  });

  test('own backends get the workspace that is asked for', async () => {
    const runner = shop.runners.get(type);
    const source = shop.source('own', {
      'main.tf': `terraform {\n  backend "local" {\n    workspace_dir = "${shop.directory}/spaces"\n  }\n}\noutput "w" { value = terraform.workspace }\n`,
    });
    const run = shop.run({ type, source, state: state.url, workspace: 'blue' });
    await runner.prepare(run);
    expect((await runner.deploy(run)).outputs[0]?.value).toBe('blue');
    expect(existsSync(join(shop.directory, 'spaces', 'blue', 'terraform.tfstate'))).toBe(true);
  });

  test('a state that could not be saved is kept, and saved before anything else is done', async () => {
    const runner = shop.runners.get(type);
    const source = shop.source('a', { 'main.tf': stack });
    const run = shop.run({ type, source, state: state.url, env: { TF_HTTP_RETRY_MAX: '0' } });
    await runner.prepare(run);
    state.refuseWrites = true;
    const thrown: unknown = await runner.deploy(run).catch((error: unknown) => error);
    expect(thrown).toMatchObject({ changedState: true, error: { message: expect.stringMatching(/state/i) } });
    expect(run.trace.text).toContain('could not be saved yet');
    expect(state.states.size).toBe(0);

    const still = shop.run({ type, source, state: state.url, env: { TF_HTTP_RETRY_MAX: '0' } });
    expect(await refused(runner.prepare(still))).toMatchObject({
      class: 'lock',
      hint: expect.stringContaining('errored.tfstate'),
    });
    state.refuseWrites = false;
    const again = shop.run({ type, source, state: state.url });
    await runner.prepare(again);
    expect(again.trace.text).toContain('The state is saved.');
    expect((await runner.deploy(again)).plan).toMatchObject({ hasChanges: false });
    expect(state.locks.size).toBe(0);
  });
});
