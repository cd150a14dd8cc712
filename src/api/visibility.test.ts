/** What a key of one project can learn of another: nothing, not even that it is there. */
import { startHarness } from './api.test-support.ts';
import type { Answer, Harness } from './api.test-support.ts';
import { bodies, fillProject } from './filled-project.test-support.ts';

let harness: Harness;
let ours: string;
let ourProject: string;
/** A key that may do everything in our project. */
let token: string;
/** Everything of the other project that could be named, with what is said of it. */
const theirs: Record<string, string> = {};

interface Named {
  readonly id: string;
}

beforeAll(async () => {
  harness = await startHarness();
  const make = async (name: string): Promise<string> =>
    (await harness.call<Named>('POST', 'projects', { body: { name } })).body.id;
  ourProject = await make('ours');
  const theirProject = await make('hidden-project');
  ours =
    (await fillProject(harness, ourProject, { environment: 'shop', template: 'stack', word: 'our' })).environment ?? '';
  Object.assign(
    theirs,
    await fillProject(harness, theirProject, { environment: 'hidden-shop', template: 'hidden-stack', word: 'hidden' }),
    {
      project: theirProject,
      projectName: 'hidden-project',
      environmentName: 'hidden-shop',
      templateName: 'hidden-stack',
      deploymentName: 'hidden-shop#1',
    },
  );
  // The other project has names of ours, too.
  await harness.call('POST', `templates?project=${theirProject}`, {
    body: { name: 'stack', type: 'shell', source: { kind: 'local', directory: '/srv/stacks' } },
  });
  await harness.call('POST', `environments?project=${theirProject}`, { body: { name: 'shop', template: 'stack' } });
  const grants = ['project.manage', 'plan', 'execute', 'approve', 'abort', 'rollback'];
  token = await harness.key(grants.map((grant) => `${grant}@${ourProject}`));
});
afterAll(() => harness.close());

/** The answer without what differs from call to call, and without the reference that was sent. */
function plain(answer: Answer, reference: string): string {
  return `${answer.status} ${answer.text}`
    .replaceAll(encodeURIComponent(reference), 'REF')
    .replaceAll(reference, 'REF')
    .replaceAll(reference.replace('#1', ''), 'REF')
    .replace(/"requestId":"[^"]*"/, '');
}

it('is answered to every call that names something of it as if that were not there', async () => {
  const document = await harness.call<{
    paths: Record<string, Record<string, { parameters?: { name: string; in: string }[] }>>;
  }>('GET', 'openapi.json');
  let compared = 0;
  for (const [path, methods] of Object.entries(document.body.paths)) {
    for (const [method, { parameters = [] }] of Object.entries(methods)) {
      const named = parameters.filter(
        (one) =>
          ['ref', 'id'].includes(one.name) ||
          ['project', 'environment', 'deployment', 'parent', 'scopeId'].includes(one.name),
      );
      for (const parameter of named) {
        const address = (reference: string): string[] => {
          const filled = path.replace(/\{(\w+)\}/g, (_, name: string) =>
            name === parameter.name ? encodeURIComponent(reference) : name === 'alias' ? 'main' : '1',
          );
          if (parameter.in === 'path') return [filled];
          const scopes = parameter.name === 'scopeId' ? ['project', 'template', 'environment'] : [''];
          return scopes.map(
            (scope) => `${filled}?${scope && `scope=${scope}&`}${parameter.name}=${encodeURIComponent(reference)}`,
          );
        };
        // The body that gets as far as the look-up.
        let body: object | undefined;
        for (const one of method === 'get' ? [] : bodies) {
          body = one;
          const [url = ''] = address('absent');
          if ((await harness.call(method.toUpperCase(), url, { token, body })).status === 404) break;
        }
        const call = { token, ...(body === undefined ? {} : { body }) };
        for (const reference of Object.values(theirs)) {
          const unknown = reference.replace(/[a-z0-9](?=(#1)?$)/, 'q').replace('hidden', 'absent');
          const none = address(unknown);
          for (const [index, url] of address(reference).entries()) {
            const first = await harness.call(method.toUpperCase(), url, call);
            const second = await harness.call(method.toUpperCase(), none[index] ?? '', call);
            expect(`${method} ${url}: ${plain(first, reference)}`).toBe(`${method} ${url}: ${plain(second, unknown)}`);
            expect(first.status).toBeGreaterThanOrEqual(400);
            if (first.status === 404) compared++;
          }
        }
      }
    }
  }
  expect(compared).toBeGreaterThan(300);
}, 300_000);

it.each(['projects', 'templates', 'environments', 'deployments', 'approvals', 'audit'])(
  'is not in the list of %s, which needs no project to be named',
  async (path) => {
    const { status, text, body } = await harness.call<{ items: unknown[] }>('GET', path, { token });
    expect(status).toBe(200);
    expect(body.items.length).toBeGreaterThan(0);
    expect(text).not.toMatch(/hidden/);
    for (const id of Object.values(theirs)) expect(text).not.toContain(id);
  },
);

it('does not make a name of ours ambiguous, and is not suggested', async () => {
  const shop = await harness.call<Named>('GET', 'environments/shop', { token });
  expect(shop.body.id).toBe(ours);
  expect((await harness.call('GET', 'templates/stack', { token })).status).toBe(200);
  expect((await harness.call('GET', 'deployments/shop%231', { token })).status).toBe(200);
  expect((await harness.call('GET', 'environments/shop')).status).toBe(409);
  const near = await harness.call<{ hint: string }>('GET', 'environments/hidden-shopp', { token });
  expect(near.body.hint).toMatch(/^there are: "shop" \(env_/);
  // The only project that may be seen is the one that is meant.
  const made = await harness.call('POST', 'environments', { token, body: { name: 'another', template: 'stack' } });
  expect(made.status).toBe(201);
});

it('can be seen by whoever may do anything in it, and only there', async () => {
  const runner = await harness.key([`execute@${ourProject}`]);
  expect((await harness.call('GET', 'environments/shop', { token: runner })).status).toBe(200);
  expect((await harness.call('PATCH', 'environments/shop', { token: runner, body: { name: 'x' } })).status).toBe(403);
  expect((await harness.call('GET', `environments/${theirs['environment']}`, { token: runner })).status).toBe(404);
});
