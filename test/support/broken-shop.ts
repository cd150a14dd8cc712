import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Deployment } from '../../src/model/index.ts';
import { whatIsTold, withoutChance } from './broken-input.ts';
import type { Told } from './broken-input.ts';
import { makeEnvironment, makeProject, node } from './project.ts';
import type { TestProject } from './project.ts';
import { startTestServer } from './windlass.ts';
import type { TestServer } from './windlass.ts';

/** One kind of input that is wrong, and what is said about it. */
export interface Row {
  readonly it: string;
  readonly does: () => Promise<string>;
  /** Exactly what a user reads. */
  readonly shows: readonly string[];
}

export let server: TestServer;
export let told: Told;
export let project: TestProject;
let shopProject: TestProject;
/** The only run of `shop`: two shell nodes, b after a. */
export let deployed: Deployment;
export let closedPort: number;

export const shell = (deployScript: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  vcs: { type: 'shell', path: '.', deployScript, destroyScript: 'true' },
  ...more,
});
export const tofu = (text: string): Record<string, unknown> => {
  project.write('stacks/db/main.tf', text);
  return node('db');
};

async function portNobodyListensOn(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as AddressInfo;
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

/** Deploys a new environment of the workflow in the project's directory. */
export const deploy = async (
  definition?: Record<string, unknown>,
  request: Record<string, unknown> = {},
): Promise<string> => {
  if (definition !== undefined) project.workflow(definition);
  const environment = await makeEnvironment(server, project);
  names[environment.name] = '<name>';
  return told.run(environment.id, request);
};
/** The same of a template with another source. */
export const deployFrom = async (
  source: Record<string, unknown>,
  more: Record<string, unknown> = {},
): Promise<string> => {
  const name = `from-${++count}`;
  const body = { name, type: 'workflow', source, ...more };
  const made = await server.raw('POST', '/templates', body);
  if (made.status !== 201) return told.call('POST', '/templates', body);
  return told.run((await server.createEnvironment({ name, template: name })).id);
};
export const variables = (...list: Record<string, unknown>[]): Record<string, unknown> => ({ variables: list });
export const key = async (permissions: string[], expiresAt?: string): Promise<Record<string, string>> => {
  // Names of keys are unique, and the messages name this one.
  await server.raw('DELETE', '/keys/guest');
  const made = await server.request<{ token: string }>('POST', '/keys', {
    name: 'guest',
    permissions,
    ...(expiresAt ? { expiresAt } : {}),
  });
  return { authorization: `Bearer ${made.token}` };
};

export const bomb = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...'bcdefghij'.split('').map((name, i) => `${name}: &${name} [${`*${'abcdefghij'[i]}, `.repeat(9).slice(0, -2)}]`),
  'environments: {db: {templateName: *j}}',
].join('\n');

let count = 0;
/** What differs from run to run, and what stands for it in the expected text. */
const names: Record<string, string> = {};

/** Runs the rows as tests against one server. */
export function testBrokenInput(title: string, rows: readonly Row[]): void {
  beforeAll(async () => {
    server = await startTestServer();
    told = whatIsTold(server);
    closedPort = await portNobodyListensOn();
    shopProject = makeProject('shop');
    shopProject.workflow({ environments: { a: shell('true'), b: shell('true', { needs: ['a'] }) } });
    const shop = await makeEnvironment(server, shopProject, { name: 'shop' });
    deployed = await server.run(shop.id);
    expect(deployed.status).toBe('succeeded');
  });
  afterAll(async () => {
    await server?.stop();
    shopProject?.remove();
  });
  beforeEach(() => {
    project = makeProject('broken');
  });
  afterEach(() => project.remove());

  describe(title, () => {
    it.each(rows.map((row) => [row.it, row] as const))('%s', async (_name, { does, shows }) => {
      const text = withoutChance(await does(), {
        ...names,
        [project.directory]: '<source>',
        [server.dataDirectory]: '<data>',
        [`:${closedPort}`]: ':<port>',
      });
      expect(text.split('\n')).toEqual(shows);
    });
  });
}
