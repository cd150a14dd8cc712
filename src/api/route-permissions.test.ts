/** What the contract says a route needs is what the operations ask for: neither less nor more. */
import { contract, routesOf } from '../contract/index.ts';
import type { RouteContract } from '../contract/index.ts';
import { permissions } from '../model/index.ts';
import { startHarness } from './api.test-support.ts';
import type { Answer, Harness } from './api.test-support.ts';
import { bodies, fillProject } from './filled-project.test-support.ts';

let harness: Harness;
let projects = 0;
beforeAll(async () => {
  harness = await startHarness();
});
afterAll(() => harness.close());

/** The address of a route in a project of its own, which has one of everything. */
async function addressIn(route: RouteContract): Promise<string> {
  const name = `project${++projects}`;
  const { body } = await harness.call<{ id: string }>('POST', 'projects', { body: { name } });
  const made = await fillProject(harness, body.id, { environment: name, template: `${name} stack`, word: name });
  const [what = ''] = route.path.split('/').slice(1);
  const things: Readonly<Record<string, string | undefined>> = {
    projects: body.id,
    organizations: 'default',
    environments: made['environment'],
    deployments: made['deployment'],
    templates: made['template'],
    variables: made['variable'],
    approvals: made['approval'],
    keys: 'absent',
  };
  // Versions of a state are numbers.
  const path = route.path
    .replace(/(?<=versions\/):id/, '1')
    .replace(':alias', 'main')
    .replace(':name', 'absent');
  const address = path.replace(/:(ref|id)/, encodeURIComponent(things[what] ?? 'none'));
  const place = { scope: 'environment', scopeId: made['environment'] ?? '', project: name };
  const query = Object.entries(place).filter(([key]) => key in (route.query?.shape ?? {}));
  return `${address.slice(1)}?${new URLSearchParams(query).toString()}`;
}

/** The answer to the first body that is understood. */
async function ask(route: RouteContract, granted: readonly string[]): Promise<Answer<{ code?: string }>> {
  const address = await addressIn(route);
  const token = await harness.key(granted);
  const [first = null, ...others] = route.body ? bodies : [null];
  const call = (body: object | null) =>
    harness.call<{ code?: string }>(route.method.toUpperCase(), address, { token, ...(body ? { body } : {}) });
  let answer = await call(first);
  for (const body of others) {
    if (answer.status !== 400) break;
    answer = await call(body);
  }
  return answer;
}

const guarded = routesOf(contract).filter(({ route }) => route.permission !== null && route.permission !== 'view');

it.each(guarded.map(({ group, name, route }) => [`${group}.${name}`, route] as const))(
  '%s is refused without its permission, and not with it',
  async (_name, route) => {
    const needed = [route.permission ?? []].flat();
    const others = permissions.filter((permission) => !needed.includes(permission));
    expect((await ask(route, others)).status).toBe(403);
    expect((await ask(route, needed)).status).not.toBe(403);
  },
  60_000,
);

it('all that takes no permission, or `view`, changes nothing', () => {
  const open = routesOf(contract).filter(({ route }) => route.permission === null || route.permission === 'view');
  const mutating = open.filter(({ route }) => route.method !== 'get').map(({ group, name }) => `${group}.${name}`);
  expect(mutating).toEqual(['environments.preview', 'tools.validate']);
});
