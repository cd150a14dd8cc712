import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { sql } from 'kysely';
import { loadConfig } from '../src/config.ts';
import type { Approval, Deployment, Environment, Page } from '../src/model/index.ts';
import { startWindlass } from '../src/server.ts';
import { openDatabase } from '../src/store/index.ts';
import { makeProject, node, nodeAt, unique } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { filesBelow, lookFor, textsIn, watchCommandLines, writings } from './support/secret-search.ts';
import { createTestClient, testEnvironment } from './support/windlass.ts';
import type { TestClient } from './support/windlass.ts';

/** One secret of each kind for each level, with characters that encodings write in another way. */
const levels = ['organization', 'project', 'template', 'environment', 'node', 'request'] as const;
const kinds = ['tool', 'environment'] as const;
const makeSecret = (): string => `${randomBytes(12).toString('base64url')}/"&+é${randomBytes(6).toString('hex')}`;
const variableName = (kind: (typeof kinds)[number], level: string): string =>
  kind === 'tool' ? `tool_${level}` : `PLANTED_${level.toUpperCase()}`;
/** A private key has lines, each of which gives something away. */
const keyLines = Array.from({ length: 4 }, () => randomBytes(24).toString('hex'));
const planted: Record<string, string> = Object.fromEntries<string>([
  ['PLANTED_KEY', ['-----BEGIN KEY-----', ...keyLines, '-----END KEY-----', ''].join('\n')],
  ...levels.flatMap((level) => kinds.map((kind): [string, string] => [variableName(kind, level), makeSecret()])),
]);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const requestSecret = planted[variableName('tool', 'request')] ?? '';
/** A stack makes this one, so that it is known to Windlass only as a sensitive output. */
const outputSecret = sha256(`made of ${requestSecret}`);
const gitToken = randomBytes(20).toString('base64url');
const refused = makeSecret();
const secrets: Record<string, string> = {
  ...planted,
  ...Object.fromEntries(keyLines.map((line, i) => [`line ${i} of the key`, line])),
  output: outputSecret,
  gitToken,
  refused,
};
const findings = lookFor(secrets);

let dataDirectory: string;
let client: TestClient;
let temporalAddress: string;
let stopServer: (() => Promise<void>) | undefined;
let project: TestProject;
let gitServer: Server;
const authorizations: string[] = [];
let run: Deployment;
let environment: Environment;
let nodeLog: string;

/** Prints what a stack knows in every way in which somebody might, and writes down that it was there. */
const printer = `
const { appendFileSync } = require('node:fs');
const { createHash } = require('node:crypto');
for (const [name, value] of Object.entries(process.env)) {
  if (!/^(tool_|PLANTED_|TOKEN)/.test(name)) continue;
  appendFileSync(process.argv[2], name + ' ' + createHash('sha256').update(value).digest('hex') + '\\n');
  const bytes = Buffer.from(value);
  for (const before of ['', 'x', 'xy']) console.log(name, 'base64', Buffer.from(before + value + 'tail').toString('base64'));
  console.log(name, 'raw', value, 'hex', bytes.toString('hex'), 'HEX', bytes.toString('hex').toUpperCase());
  console.log(name, 'json', JSON.stringify({ value }), JSON.stringify(JSON.stringify({ value })));
  console.log(name, 'url', encodeURIComponent(value));
  console.error(name, 'on stderr', value);
  console.log(name, 'split');
  for (let i = 0; i < value.length; i += 9) console.log(value.slice(i, i + 9));
  console.log('printed');
}
if (process.argv[3] === 'fail') process.exit(9);
`;

/** A stack that holds variables without calling them sensitive, so that only Windlass hides them. */
const stack = (
  names: readonly string[],
  more: { readonly fails?: boolean; readonly outputs?: string } = {},
): string => `
${names.map((name) => `variable "${name}" { type = string }`).join('\n')}
resource "terraform_data" "this" {
  input = { ${names.map((name) => `${name} = var.${name}`).join(', ')} }
  provisioner "local-exec" {
    command     = "${process.execPath} ${project.journal}/print.cjs ${project.journal}/seen ${more.fails ? 'fail' : ''}"
    environment = { ${names.map((name) => `${name} = var.${name}`).join(', ')} }
  }
}
${more.outputs ?? ''}
`;

const variable = (name: string, value: string): Record<string, unknown> => ({
  name,
  kind: name.startsWith('PLANTED_') ? 'environment' : 'tool',
  value,
  sensitive: true,
});
const plant = (scope: string, level: string, more: Record<string, unknown> = {}, place = ''): Promise<unknown[]> =>
  Promise.all(
    kinds.map((kind) => {
      const name = variableName(kind, level);
      return client.request(
        'POST',
        `/variables?scope=${scope}${place}`,
        { ...variable(name, planted[name] ?? ''), ...more },
        { 'idempotency-key': `plant-${name}` },
      );
    }),
  );

const paths = async (deployment: Deployment): Promise<string[]> => {
  const of = (path: string): string => `/deployments/${deployment.id}${path}`;
  const aliases = (await client.nodes(deployment.id)).map((item) => item.alias);
  const entities = [environment.name, ...['a', 'b', 'c', 'd'].map((alias) => `${environment.name}/${alias}`)];
  return [
    ...['', '/nodes', '/logs', '/logs?format=text', '/events?after=0'].map(of),
    ...aliases.flatMap((alias) => ['json', 'text'].map((format) => of(`/nodes/${alias}/plan?format=${format}`))),
    ...entities.flatMap((name) =>
      ['', '/variables', '/outputs', '/graph', '/drift', '/state', '/state/versions', '/deployments', '/children'].map(
        (path) => `/environments/${encodeURIComponent(name)}${path}`,
      ),
    ),
    `/environments/${environment.id}/variables?alias=a`,
    '/variables?scope=organization',
    '/variables?scope=project',
    `/variables?scope=environment&scopeId=${environment.id}`,
    `/variables?scope=template&scopeId=${environment.name}`,
    '/deployments',
    '/environments',
    '/templates',
    '/approvals',
    '/audit?limit=200',
    '/keys',
    '/openapi.json',
  ];
};
/** Reads everything that is told about a run. Answers what was answered with an error, too. */
async function readEverything(deployment: Deployment, streams: boolean): Promise<void> {
  const get = async (path: string, accept: string): Promise<void> => {
    const headers = { authorization: `Bearer ${client.token}`, accept };
    const response = await fetch(`${client.url}/api/v1${path}`, { headers });
    findings.add(`GET ${path.replace(/dep_\w+/, 'run')} (${accept})`, await response.text());
  };
  for (const path of await paths(deployment)) await get(path, 'application/json, text/plain');
  if (!streams) return;
  await get(`/deployments/${deployment.id}/events?after=0`, 'text/event-stream');
  await get(`/deployments/${deployment.id}/logs?follow=true&after=0`, 'text/event-stream');
}

async function readHistories(): Promise<number> {
  const connection = await Connection.connect({ address: temporalAddress });
  let count = 0;
  try {
    const temporal = new Client({ connection });
    for await (const workflow of temporal.workflow.list()) {
      const { workflowId, runId } = workflow;
      const history = await temporal.workflow.getHandle(workflowId, runId).fetchHistory();
      const kind = workflowId.replace(/:.*?(\/.*)?$/, '$1');
      for (const text of textsIn([history, workflow.raw])) findings.add(`history of ${kind}`, text);
      count++;
    }
  } finally {
    await connection.close();
  }
  return count;
}

beforeAll(async () => {
  dataDirectory = mkdtempSync(join(tmpdir(), 'windlass-secrets-'));
  const running = await startWindlass(loadConfig({ ...testEnvironment(dataDirectory), WINDLASS_LOG_LEVEL: 'debug' }));
  stopServer = () => running.stop();
  client = createTestClient(running.url, running.token ?? '');
  temporalAddress = running.temporalAddress;
  project = makeProject('secrets');
  project.write('../journal/print.cjs', printer);
  gitServer = createServer((request, response) => {
    authorizations.push(request.headers.authorization ?? '');
    response.writeHead(401, { 'www-authenticate': 'Basic realm="code"' }).end(request.headers.authorization);
  });
  await new Promise<void>((resolve) => gitServer.listen(0, '127.0.0.1', resolve));
  const commands = watchCommandLines();
  await play();
  for (const line of commands.stop()) findings.add('command line', line);
});
afterAll(async () => {
  await stopServer?.();
  gitServer?.close();
  project?.remove();
  rmSync(dataDirectory, { recursive: true, force: true });
});

async function play(): Promise<void> {
  const name = unique('secrets');
  const tools = levels.map((level) => variableName('tool', level));
  const output = (alias: string, value: string, sensitive = true): string =>
    `output "${alias}" {\n  value = ${value}\n  sensitive = ${sensitive}\n}`;
  project.write(
    'stacks/a/main.tf',
    stack(tools, { outputs: output('password', 'sha256("made of ${var.tool_request}")') }),
  );
  project.write('stacks/b/main.tf', stack(['TOKEN']));
  project.write('stacks/d/main.tf', stack(['tool_organization', 'tool_request'], { fails: true }));
  const token = '${environments.a.outputs.password}';
  project.workflow({
    environments: {
      a: { templateName: `${name}-a` },
      b: node('b', { needs: ['a'], requiresApproval: true, inputs: { TOKEN: token } }),
      c: {
        needs: ['a'],
        vcs: {
          type: 'shell',
          path: '.',
          deployScript: `${process.execPath} ${project.journal}/print.cjs ${project.journal}/seen fail`,
          destroyScript: 'true',
        },
        inputs: { TOKEN: { value: token, kind: 'environment' } },
        // Not called sensitive: what it is made of makes it so.
        variables: { TOKEN_FROM_FILE: { value: '${PLANTED_PROJECT}', kind: 'environment' } },
      },
      d: node('d', { needs: ['a'] }),
    },
  });
  const local = { kind: 'local', directory: project.directory };
  await client.createTemplate({ name, type: 'workflow', source: local });
  await client.createTemplate({ name: `${name}-a`, type: 'opentofu', source: { ...local, path: 'stacks/a' } });
  environment = await client.createEnvironment({ name, template: name });
  await plant('organization', 'organization');
  await plant('project', 'project');
  await plant('template', 'template', {}, `&scopeId=${name}-a`);
  await plant('environment', 'environment', {}, `&scopeId=${environment.id}`);
  await plant('environment', 'node', { alias: 'a' }, `&scopeId=${environment.id}`);
  await client.request('POST', '/variables?scope=project', variable('PLANTED_KEY', planted['PLANTED_KEY'] ?? ''));
  run = await client.request(
    'POST',
    `/environments/${environment.id}/deployments`,
    {
      variables: kinds.map((kind) =>
        variable(variableName(kind, 'request'), planted[variableName(kind, 'request')] ?? ''),
      ),
    },
    { 'idempotency-key': 'the-run' },
  );
  await nodeAt(client, run, 'b', 'waitingForApproval');
  await readEverything(run, false);
  const [approval] = (await client.request<Page<Approval>>('GET', '/approvals?status=pending')).items;
  await client.request('POST', `/approvals/${approval?.id}/approve`, {});
  run = await client.ended(run.id);
  nodeLog = await client.text(`/deployments/${run.id}/logs?format=text`);
  await readEverything(run, true);
  const more = await client.run(environment.id, { type: 'plan' });
  await readEverything(more, true);
  await playRefusals(name);
  await readEverything(await client.run(environment.id, { type: 'destroy', requiresApproval: false }), true);
}

/** A secret in what is refused, and a token for a server that refuses it. */
async function playRefusals(name: string): Promise<void> {
  const wrong = { ...variable('limited', refused), regex: '^[a-z]$' };
  const answer = await client.raw('POST', '/variables?scope=project', wrong, { 'idempotency-key': 'wrong' });
  expect(answer.status).toBe(400);
  findings.add('refused variable', JSON.stringify(answer.body));
  await client.request('POST', '/variables?scope=project', { name: 'limited', regex: '^[a-z]$' });
  const unasked = await client.refused(environment.id, {
    variables: [variable('limited', refused)],
    partial: { operation: 'single-node-deploy', node: 'a' },
  });
  expect(unasked.status).toBe(422);
  findings.add('refused run', JSON.stringify(unasked));

  await client.request('POST', '/variables?scope=project', variable('PLANTED_GIT', gitToken));
  const repository = `http://127.0.0.1:${(gitServer.address() as AddressInfo).port}/code.git`;
  const source = { kind: 'git', repository, credentials: 'PLANTED_GIT' };
  await client.createTemplate({ name: `${name}-git`, type: 'workflow', source });
  const remote = await client.createEnvironment({ name: `${name}-git`, template: `${name}-git` });
  const unread = await client.run(remote.id);
  expect(unread.status).toBe('failed');
  await readEverything(unread, true);
}

it('finds a secret however it is written', () => {
  for (const text of [...writings(requestSecret), `${requestSecret.slice(0, 9)}\n  ${requestSecret.slice(9)}`]) {
    const control = lookFor(secrets);
    control.add('here', `before ${text} after`);
    expect(control.leaks()).toContain('here: tool_request');
  }
});

it('planted them: the tools had every one, and git sent the token', async () => {
  const seen = readFileSync(join(project.journal, 'seen'), 'utf8').split('\n');
  for (const [name, value] of Object.entries(planted)) expect(seen).toContain(`${name} ${sha256(value)}`);
  expect(seen).toContain(`TOKEN ${sha256(outputSecret)}`);
  expect(seen).toContain(`TOKEN_FROM_FILE ${sha256(planted['PLANTED_PROJECT'] ?? '')}`);
  expect(authorizations.map((header) => Buffer.from(header.split(' ')[1] ?? '', 'base64').toString()).join()).toContain(
    gitToken,
  );
  expect(nodeLog).toContain('printed');
  expect(await client.statuses(run.id)).toEqual({ a: 'succeeded', b: 'succeeded', c: 'failed', d: 'failed' });
});

it('shows none in answers, logs, plans, errors, streams, arguments and histories, and leaves none on the disk', async () => {
  expect(await readHistories()).toBeGreaterThan(10);
  await stopServer?.();
  stopServer = undefined;
  const log = join(dataDirectory, 'windlass.log');
  expect(existsSync(log)).toBe(true);
  const database = await openDatabase({ kind: 'pglite', directory: join(dataDirectory, 'database') });
  try {
    const tables = await sql<{ name: string }>`select table_name as name from information_schema.tables
      where table_schema = 'public' and table_type = 'BASE TABLE'`.execute(database.sql);
    expect(tables.rows.length).toBeGreaterThan(10);
    for (const { name } of tables.rows) {
      const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(name)}`.execute(database.sql);
      for (const row of rows) {
        for (const [column, value] of Object.entries(row)) {
          if (value instanceof Uint8Array) findings.addBytes(`table ${name}.${column}`, value);
          else findings.add(`table ${name}.${column}`, typeof value === 'string' ? value : JSON.stringify(value ?? ''));
        }
      }
    }
  } finally {
    await database.close();
  }
  for (const file of filesBelow(dataDirectory))
    findings.addBytes(`file ${relative(dataDirectory, file)}`, readFileSync(file));
  expect(findings.leaks()).toEqual([]);
});
