/** The compiler reads this file with all others: an expected error that does not come is one. */
import { contract, routesOf } from '../contract/index.ts';
import { bindRoutes } from './route.ts';
import type { Handler, Handlers, HandlersOf } from './route.ts';

type Drift = HandlersOf<'drift'>;
test('handlers that do not fit the contract do not compile', () => {
  // Nobody calls these: what matters are the errors of the compiler.
  const { get, set, remove } = {} as Drift;
  const handlers = {} as Handlers;
  // @ts-expect-error: a route of the contract has no handler
  const missing: Drift = { get, set };
  // @ts-expect-error: a handler has no route in the contract
  const additional: Drift = { get, set, remove, other: get };
  // @ts-expect-error: a group of the contract has no handlers
  const withoutGroup: Handlers = { ...handlers, drift: undefined };
  // @ts-expect-error: the answer is not what the contract says
  const wrongAnswer: Handler<(typeof contract)['tools']['version']> = () => ({ version: 7 });
  // @ts-expect-error: the route has no such parameter
  const wrongInput: Handler<(typeof contract)['keys']['revoke']> = ({ params }) => void params.id;
  expect([missing, additional, withoutGroup, wrongAnswer, wrongInput]).toHaveLength(5);
});

test('each route of the contract is bound to the handler of its name', () => {
  const table = Object.fromEntries(
    Object.entries(contract).map(([group, routes]) => [
      group,
      Object.fromEntries(Object.keys(routes).map((name) => [name, () => `${group}.${name}`])),
    ]),
  );
  const routes = bindRoutes(table as unknown as Handlers);
  const answered = routes.map(({ handle }) => handle({} as Parameters<typeof handle>[0]));
  expect(answered).toEqual(routesOf(contract).map(({ group, name }) => `${group}.${name}`));
});

test('no two routes are answered at one address, and names in paths are the ones that are parsed', () => {
  const lines = routesOf(contract).map(({ route }) => `${route.method} ${route.path.replace(/:\w+/g, ':')}`);
  expect(new Set(lines).size).toBe(lines.length);
  for (const { route } of routesOf(contract)) {
    const named = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name);
    expect({ path: route.path, named: Object.keys(route.params?.shape ?? {}) }).toEqual({ path: route.path, named });
  }
});
