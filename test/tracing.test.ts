import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import type { TestProject } from './support/project.ts';
import { startTestServer } from './support/windlass.ts';
import type { TestServer } from './support/windlass.ts';

const attribute = z.object({
  key: z.string(),
  value: z.object({ stringValue: z.string().optional(), intValue: z.union([z.number(), z.string()]).optional() }),
});
const spanSchema = z.object({
  name: z.string(),
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  attributes: z.array(attribute),
  status: z.object({ code: z.number().optional() }).optional(),
});
type Span = z.infer<typeof spanSchema>;
const exportSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(attribute) }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
});

let receiver: Server;
const received: Span[] = [];
const services = new Set<string | undefined>();
let server: TestServer;
let project: TestProject;

beforeAll(async () => {
  // A receiver of OTLP over HTTP, as far as it goes.
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.url === '/v1/traces')
        for (const { resource, scopeSpans } of exportSchema.parse(JSON.parse(Buffer.concat(chunks).toString()))
          .resourceSpans) {
          services.add(resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue);
          received.push(...scopeSpans.flatMap(({ spans }) => spans));
        }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  server = await startTestServer();
  project = makeProject('traces');
});
afterAll(async () => {
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  receiver?.close();
  project?.remove();
});

it('follows a run from the request to the process of the tool, in the trace of the caller', async () => {
  const seen = join(project.journal, 'traceparent');
  project.write(
    'stacks/a/main.tf',
    `resource "terraform_data" "this" {
      provisioner "local-exec" { command = "printf %s \\"$TRACEPARENT\\" > ${seen}" }
    }\n`,
  );
  project.stack('broken');
  project.failing('broken', true);
  project.workflow({ environments: { a: node('a'), broken: node('broken', { needs: ['a'] }) } });
  const environment = await makeEnvironment(server, project);
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const run = await server.request<{ id: string }>(
    'POST',
    `/environments/${environment.id}/deployments`,
    {},
    { traceparent: `00-${traceId}-b7ad6b7169203331-01` },
  );
  expect((await server.ended(run.id)).status).toBe('failed');
  // The rest is sent at the stop.
  await server.stop();

  expect([...services]).toEqual(['windlass-up']);
  const own = received.filter((span) => span.traceId === traceId);
  const named = (name: string, alias?: string): Span => {
    const found = own.find(
      (span) =>
        span.name === name &&
        (alias === undefined ||
          span.attributes.some(({ key, value }) => key === 'windlass.alias' && value.stringValue === alias)),
    );
    if (found === undefined) throw new Error(`no span ${name}; there are ${own.map((span) => span.name).join(', ')}`);
    return found;
  };
  const attributes = (span: Span): Record<string, unknown> =>
    Object.fromEntries(span.attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]));

  const request = named('POST /api/v1/environments/:ref/deployments');
  expect(request.parentSpanId).toBe('b7ad6b7169203331');
  const operation = own.find((span) => span.parentSpanId === request.spanId);
  expect(operation?.name).toMatch(/deploy/i);
  const deployment = named('deployment');
  expect(attributes(deployment)).toMatchObject({ 'windlass.outcome': 'failed', 'windlass.deployment.id': run.id });
  const chain = new Map(own.map((span) => [span.spanId, span]));
  const ancestors = (span: Span): string[] => {
    const parent = chain.get(span.parentSpanId ?? '');
    return parent === undefined ? [] : [parent.spanId, ...ancestors(parent)];
  };
  expect(ancestors(deployment)).toContain(operation?.spanId);

  const good = named('node deploy', 'a');
  expect(good.parentSpanId).toBe(deployment.spanId);
  expect(attributes(good)).toMatchObject({ 'windlass.type': 'opentofu', 'windlass.outcome': 'succeeded' });
  const bad = named('node deploy', 'broken');
  expect(attributes(bad)).toMatchObject({ 'windlass.outcome': 'failed' });
  expect(bad.status?.code).toBe(2);

  const [, toolTrace, toolSpan = ''] = readFileSync(seen, 'utf8').split('-');
  expect(toolTrace).toBe(traceId);
  expect(chain.get(toolSpan)).toMatchObject({ name: 'tofu apply', parentSpanId: good.spanId });
});
